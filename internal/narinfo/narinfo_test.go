package narinfo

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kedge/proto"
)

// fromNix is what Nix 2.26.3 wrote into a cache, with the key that signed it.
const (
	fromNix = `StorePath: /nix/store/af4n6ilpb4xip8c75k147zxhba4wi6x1-nixos-system-web1
URL: nar/0kz9vw3hfhgwp85q53d7jqc51g57anj39affbspvfv7hk4299m0m.nar.zst
Compression: zstd
FileHash: sha256:0kz9vw3hfhgwp85q53d7jqc51g57anj39affbspvfv7hk4299m0m
FileSize: 80
NarHash: sha256:0sjjj9z1dhilhpc8pq4154czrb79z9cm044jvn75kxcjv6v5l2m5
NarSize: 96
References: 
Deriver: ddylpamknq8cb1v9vnijb2f9sv49m72z-nixos-system-web1.drv
Sig: foo-1:KtFnpsIq+5+qK+OIc8SmAZKsqPBp3lWkKxUzcEfOGW8JiTc9gkShmeE43bkSPj4JSf8jBEsfIindvBG7ARbxDw==
`
	keyOfNix = "foo-1:v6tfSv55yeE60O35zWVZAYPDJY4mwjij2+dCDFIwggI="
)

func TestSignaturesOfNixAreVerified(t *testing.T) {
	info, err := Parse([]byte(fromNix))
	if err != nil {
		t.Fatal(err)
	}
	key, err := proto.ParsePublicKey(keyOfNix)
	if err != nil {
		t.Fatal(err)
	}
	if !info.SignedBy(key) {
		t.Error("a good signature does not verify")
	}
	info.Size++
	if info.SignedBy(key) {
		t.Error("a signature verifies for another size")
	}
}

func TestParseRefuses(t *testing.T) {
	for name, change := range map[string]func(string) string{
		"nothing":                   func(string) string { return "" },
		"a file outside the cache":  func(s string) string { return strings.Replace(s, "URL: nar/", "URL: ../nar/", 1) },
		"a file of this machine":    func(s string) string { return strings.Replace(s, "URL: nar/", "URL: file:///x/nar/", 1) },
		"a URL with a password":     func(s string) string { return strings.Replace(s, "URL: nar/", "URL: https://u:p@x/nar/", 1) },
		"a URL with a query":        func(s string) string { return strings.Replace(s, "URL: nar/", "URL: https://x/?nar/", 1) },
		"a hash that is too long":   func(s string) string { return strings.Replace(s, "URL: nar/", "URL: nar/0123456789abc", 1) },
		"a suffix that is too long": func(s string) string { return strings.Replace(s, ".nar.zst", ".nar.zstandard", 1) },
		"a URL that climbs":         func(s string) string { return strings.Replace(s, "URL: nar/", "URL: https://x//../nar/", 1) },
		"a path below a store path": func(s string) string { return strings.Replace(s, "-nixos-system-web1\n", "-x/y\n", 1) },
		"a bad reference":           func(s string) string { return strings.Replace(s, "References: ", "References: ../x", 1) },
		"a size that is no number":  func(s string) string { return strings.Replace(s, "NarSize: 96", "NarSize: many", 1) },
		"another kind of hash":      func(s string) string { return strings.Replace(s, "NarHash: sha256:", "NarHash: md5:", 1) },
		"the first half":            func(s string) string { return s[:len(s)/3] },
	} {
		t.Run(name, func(t *testing.T) {
			if info, err := Parse([]byte(change(fromNix))); !errors.Is(err, ErrInvalid) {
				t.Errorf("got %v and error %v, want ErrInvalid", info, err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(fromNix))
	f.Add([]byte("StorePath: /nix/store/x\nReferences:\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		info, err := Parse(text)
		if err != nil {
			return
		}
		if info.Path.IsZero() || strings.Contains(info.File, "..") || !strings.HasPrefix(info.File, "nar/") {
			t.Errorf("accepted path %q, file %q from %q", info.Path, info.File, text)
		}
	})
}

func TestWhatIsSaidOfAPathElsewhereCanBeSignedToo(t *testing.T) {
	info, err := Parse([]byte(strings.Replace(fromNix, "URL: nar/", "URL: https://cache.nixos.org:443/a/nar/", 1)))
	if err != nil || !info.Elsewhere() {
		t.Fatalf("got %+v, %v, want an archive elsewhere", info, err)
	}
	theirs, err := proto.ParsePublicKey(keyOfNix)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := proto.GenerateKey("ours-1", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := info.Sign(ours)
	if err != nil {
		t.Fatal(err)
	}
	info.Signatures = append(info.Signatures, signature)
	again, err := Parse(info.Text())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(info, again, cmpopts.EquateComparable(proto.StorePath{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("what was written reads as another (-want +got):\n%s", diff)
	}
	if !again.SignedBy(theirs) || !again.SignedBy(ours.Public()) {
		t.Error("a signature is lost")
	}
}
