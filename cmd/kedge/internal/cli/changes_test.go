package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/proto"
)

func exampleChanges() proto.Changes {
	return proto.Changes{
		Size: 3 << 20, Upgraded: 1, Removed: 1, Changed: 60, Boot: []string{"kernel", "initrd"},
		Packages: []proto.PackageChange{
			{Name: "linux", Kind: proto.ChangeUpgraded, From: []string{"6.12.1"}, To: []string{"6.12.8", "6.12.9"}, Size: 1 << 20},
			{Name: "source", Kind: proto.ChangeRemoved, From: []string{""}, Size: -512},
			{Name: "etc\x1b[2J", Kind: proto.ChangeOther, Size: 5 << 40},
		},
	}
}

func TestAHostShowsWhatChanges(t *testing.T) {
	c := exampleChanges()
	c.From, c.To = storePath(t, "before"), storePath(t, "after")
	var out strings.Builder
	drawHost(&out, proto.HostView{Changes: &c}, time.Time{})
	_, got, _ := strings.Cut(out.String(), "Changes ")
	want := `1 upgraded, 1 removed, 60 changed, +3.0 MiB; with a reboot: kernel, initrd

From ` + c.From.String() + ` to ` + c.To.String() + `
  upgraded  linux   6.12.1 → 6.12.8, 6.12.9  +1.0 MiB
  removed   source  ε → ∅                    -0.5 KiB
  changed   etc[2J  -                        +5120.0 GiB
  and 59 more
`
	if diff := cmp.Diff(want, strings.TrimLeft(got, " ")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func storePath(t *testing.T, name string) proto.StorePath {
	t.Helper()
	p, err := proto.ParseStorePath("/nix/store/00000000000000000000000000000000-" + name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
