package proto

import (
	"encoding/base64"
	"testing"
)

// A key that Nix made signs a store path as Nix does: Ed25519 over Nix's
// fingerprint of the path. All literals are from Nix 2.26.3: `nix key
// generate-secret`, `nix store sign`, and `nix path-info --json --sigs`.
func TestNixAndKedgeSignAlike(t *testing.T) {
	const (
		secret      = "kedge-test-1:5WRlhxNQuEsN8E0aaDpXXepwLKpN0O7LMTjPUpa/BrIqJTlH2vVjNKkgqqsp3GlUVOgTwJsMboN9/qHGDyl2ow=="
		public      = "kedge-test-1:KiU5R9r1YzSpIKqrKdxpVFToE8CbDG6Dff6hxg8pdqM="
		fingerprint = "1;/nix/store/n53bm7gzq800hz2sv6bwq8h34ab26paw-web1-toplevel" +
			";sha256:1sxv7za2zgxizz0mbdvnywndr4n4p8fic3ykrkj53cncmjjkylmy;168" +
			";/nix/store/l5dy09bbwcaa45ga041fzywsrdmvnm61-dep"
		signature = "L9jN64EbWdmpHzifBw1cHOKVTLQEY/DBJrd2corNZ16jQi4N4KNK7eforXkz0GtMy8imhSNf7lRSjKlFyDaYDQ=="
	)
	s, err := ParseSecretKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	p, err := ParsePublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		t.Fatal(err)
	}
	if !p.verify([]byte(fingerprint), sig) {
		t.Error("Nix's signature does not fit")
	}
	if got := base64.StdEncoding.EncodeToString(s.sign([]byte(fingerprint))); got != signature {
		t.Errorf("signature: got %s, want Nix's %s", got, signature)
	}
	if p.verify([]byte(fingerprint+"x"), sig) {
		t.Error("Nix's signature fits another fingerprint")
	}
}
