//go:build e2e

package nixosmodule_test

import (
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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

// nixpkgsHooks are the functions of nixpkgs that the package's phases call, as far as they do, and
// what its stdenv does with manual pages between the two: it collects them in the first output, where
// folders become one only if they have none in common, and compresses them.
const nixpkgsHooks = `set -eu
out=$1 agent=$2
installManPage() { install -D --mode=444 --target-directory="$out/share/man/man1" "$@"; }
installShellCompletion() {
	install -D --mode=444 "$4" "$out/share/bash-completion/completions/$2.bash"
	install -D --mode=444 "$6" "$out/share/zsh/site-functions/_$2"
	install -D --mode=444 "$8" "$out/share/fish/vendor_completions.d/$2.fish"
}
moveToOutput() {
	local output file to
	for output in "$out" "$agent"; do
		[ "$output" != "$2" ] || continue
		for file in "$output"/$1; do
			[ -e "$file" ] || continue
			to=$2/${file#"$output"/}
			if [ -d "$file" ] && [ -d "$to" ]; then
				mv -t "$to" "$file"/*
				rmdir "$file"
			else
				mkdir -p "$(dirname "$to")"
				mv "$file" "$to"
			fi
		done
	done
}
collectManPages() {
	moveToOutput share/man "$out"
	gzip -n "$out"/share/man/man*/*
}
for program in kedge kedge-agent kedge-controller; do
	mkdir -p "$out/bin"
	printf '#!/bin/sh\necho "$*"\n' > "$out/bin/$program"
	chmod +x "$out/bin/$program"
done
`

// TestOutputs: the package's output agent has what is the agent's, and no more.
func TestOutputs(t *testing.T) {
	m := newMachine(t, "outputs")
	var postInstall, postFixup string
	evaluatePackage(t, m, "postInstall", &postInstall)
	evaluatePackage(t, m, "postFixup", &postFixup)
	out, agent := t.TempDir(), t.TempDir()
	run(t, "..", "bash", "-c", nixpkgsHooks+postInstall+"\ncollectManPages\n"+postFixup, "bash", out, agent)

	want := []string{
		"bin/kedge-agent",
		"share/bash-completion/completions/kedge-agent.bash",
		"share/fish/vendor_completions.d/kedge-agent.fish",
		"share/zsh/site-functions/_kedge-agent",
	}
	pages, err := filepath.Glob("../docs/man/kedge-agent*.1")
	if err != nil || len(pages) == 0 {
		t.Fatalf("the agent's manual pages: %v, %v", pages, err)
	}
	for _, page := range pages {
		want = append(want, "share/man/man1/"+filepath.Base(page)+".gz")
	}
	var got []string
	err = fs.WalkDir(os.DirFS(agent), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			got = append(got, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("output agent (-want +got):\n%s", diff)
	}
	// As monitoring.nix names them.
	for _, file := range []string{"alerts/kedge-agent.rules.yml", "alerts/kedge-controller.rules.yml", "alerts/kedge-rollouts.rules.yml", "dashboards"} {
		if _, err := os.Stat(filepath.Join(out, "share/kedge", file)); err != nil {
			t.Error(err)
		}
	}
}

// sources returns the names of the files that package.nix builds from.
func sources(t *testing.T, m *hosts.Machine) (names []string) {
	t.Helper()
	evaluatePackage(t, m, "src", &names)
	return names
}

// evaluatePackage reads an attribute of package.nix into v.
func evaluatePackage(t *testing.T, m *hosts.Machine, attribute string, v any) {
	t.Helper()
	out, err := m.RunOffline(t.Context(), "nix-instantiate", "--eval", "--strict", "--json", "--expr",
		`((import `+project+`/nixos-module/tests/pkgs.nix { lib = import `+project+`/nixos-module/tests/lib.nix; }).callPackage `+
			project+`/nixos-module/package.nix { version = "test"; }).`+attribute)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(out), v); err != nil {
		t.Fatal(err)
	}
}
