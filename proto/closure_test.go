package proto_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kedge/proto"
)

const (
	depLine      = "/nix/store/l5dy09bbwcaa45ga041fzywsrdmvnm61-dep sha256:1sxv7za2zgxizz0mbdvnywndr4n4p8fic3ykrkj53cncmjjkylmy 168\n"
	toplevelLine = toplevelText + " sha256:18l2zj8v9v7ywhnxhbvn50dldj0h6nzfi1nii2xd79nkj6ivx2cm 288\n"
)

func TestClosureTextIsTheSameForTheSameClosure(t *testing.T) {
	c := closure(t)
	if got, want := string(c.Text()), depLine+toplevelLine; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	reversed := slices.Clone(c)
	slices.Reverse(reversed)
	if got, want := reversed.Digest(), c.Digest(); got != want {
		t.Errorf("digest in another order: got %s, want %s", got, want)
	}
	if got, want := c.Size(), uint64(288+168); got != want {
		t.Errorf("size: got %d, want %d", got, want)
	}
}

func TestParseClosureReturnsWhatWasWritten(t *testing.T) {
	want := closure(t)
	slices.SortFunc(want, func(a, b proto.ClosurePath) int { return a.Path.Compare(b.Path) })
	got, err := proto.ParseClosure(want.Text())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b proto.StorePath) bool { return a == b })); d != "" {
		t.Errorf("closure (-want +got):\n%s", d)
	}
}

func TestParseClosureRefuses(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       error
	}{
		{"a missing size", "/nix/store/l5dy09bbwcaa45ga041fzywsrdmvnm61-dep sha256:x\n", proto.ErrMalformed},
		{"a field too many", strings.Replace(depLine, "\n", " x\n", 1), proto.ErrMalformed},
		{"a bad path", "/etc/shadow " + strings.SplitN(depLine, " ", 2)[1], proto.ErrInvalidStorePath},
		{"a hash that is not sha256", strings.Replace(depLine, "sha256:1sxv", "md5:1sxv", 1), proto.ErrMalformed},
		{"a short hash", strings.Replace(depLine, "sha256:1sxv", "sha256:1sx", 1), proto.ErrMalformed},
		{"a hexadecimal hash", strings.Replace(depLine, "1sxv7za2zgxizz0mbdvnywndr4n4p8fic3ykrkj53cncmjjkylmy", strings.Repeat("0e", 32), 1), proto.ErrMalformed},
		{"a hash with a letter that is not Nix base 32", strings.Replace(depLine, "sha256:1", "sha256:e", 1), proto.ErrMalformed},
		{"a negative size", strings.Replace(depLine, "168", "-1", 1), proto.ErrMalformed},
		{"a size with a zero in front", strings.Replace(depLine, "168", "0168", 1), proto.ErrMalformed},
		{"a size beyond 64 bits", strings.Replace(depLine, "168", "18446744073709551616", 1), proto.ErrMalformed},
		{"a missing line end", strings.TrimSuffix(depLine, "\n"), proto.ErrMalformed},
		{"a carriage return", strings.Replace(depLine, "\n", "\r\n", 1), proto.ErrMalformed},
		{"an empty line", depLine + "\n" + toplevelLine, proto.ErrMalformed},
		{"a path twice", depLine + depLine, proto.ErrMalformed},
		{"another order", toplevelLine + depLine, proto.ErrMalformed},
		{"two spaces", strings.Replace(depLine, " ", "  ", 1), proto.ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := proto.ParseClosure([]byte(c.text)); !errors.Is(err, c.want) {
				t.Errorf("parse %q: got %v, %v, want %v", c.text, got, err, c.want)
			}
		})
	}
}
