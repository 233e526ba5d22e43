//go:build e2e

package nixosmodule_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kedge/e2e/hosts"
)

var update = flag.Bool("update", false, "write vendor-hash, or the reference of options")

// TestVendorHash does what nixpkgs' buildGoModule does to get the modules that the programs are built
// of: `go mod vendor` in the package's src, and its folder vendor, as it is, becomes a store path. The
// hash of that is vendorHash.
func TestVendorHash(t *testing.T) {
	m := newMachine(t, "vendor")
	src := t.TempDir()
	copyFiles(t, src, sources(t, m))
	run(t, src, "go", "mod", "vendor")
	// What the programs import and embed is there.
	run(t, src, "go", "list", "-mod=vendor", "-deps", "./cmd/...")

	if err := os.CopyFS(filepath.Join(m.Root(), "srv/vendor"), os.DirFS(filepath.Join(src, "vendor"))); err != nil {
		t.Fatal(err)
	}
	got, err := m.RunOffline(t.Context(), "nix", "--extra-experimental-features", "nix-command", "hash", "path", "--type", "sha256", "/srv/vendor")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("vendor-hash", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("vendor-hash")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("vendor-hash is %s, and what the programs import now has %s; run `make vendor-hash`", strings.TrimSpace(string(want)), got)
	}
}

// sources returns the names of the files that package.nix builds from.
func sources(t *testing.T, m *hosts.Machine) []string {
	t.Helper()
	out, err := m.RunOffline(t.Context(), "nix-instantiate", "--eval", "--strict", "--json", "--expr",
		`((import `+project+`/nixos-module/tests/pkgs.nix { lib = import `+project+`/nixos-module/tests/lib.nix; }).callPackage `+
			project+`/nixos-module/package.nix { version = "test"; }).src`)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	if err := json.Unmarshal([]byte(out), &names); err != nil {
		t.Fatal(err)
	}
	return names
}
