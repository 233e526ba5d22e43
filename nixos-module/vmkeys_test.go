package nixosmodule_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"os"
	"regexp"
	"testing"
)

// TestVMKeysAreThoseOfTheirSeeds: what hosts of the tests in VMs trust is what vm/keys.nix makes.
func TestVMKeysAreThoseOfTheirSeeds(t *testing.T) {
	text, err := os.ReadFile("vm/keys.nix")
	if err != nil {
		t.Fatal(err)
	}
	for role, seed := range map[string]byte{"release": 1, "controller": 2, "cache": 3} {
		if !regexp.MustCompile(role + ` = "` + string('0'+rune(seed)) + `";`).Match(text) {
			t.Errorf("the seed of %s is another one", role)
		}
		key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
		public, is := key.Public().(ed25519.PublicKey)
		want := `"vm-` + role + `-1:` + base64.StdEncoding.EncodeToString(public) + `"`
		if !is || !bytes.Contains(text, []byte(want)) {
			t.Errorf("the public key of %s is not %s", role, want)
		}
	}
}
