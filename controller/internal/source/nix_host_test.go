//go:build host

package source_test

import (
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"kedge/controller/internal/source"
	"kedge/internal/nix"
	"kedge/internal/noflake"
)

// evaluate has the real Nix evaluate an attribute of what was checked out.
func evaluate(t *testing.T, tree source.Tree, attribute string) string {
	t.Helper()
	cli := nix.CLI{Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	out, err := cli.Eval(t.Context(), nix.EvalOptions{Installable: tree.FlakeRef + "#" + attribute})
	if err != nil {
		t.Fatal(err)
	}
	var text string
	if err := json.Unmarshal(out, &text); err != nil {
		t.Fatal(err)
	}
	return text
}

func TestNixEvaluatesARepositoryWithoutAFlake(t *testing.T) {
	for name, o := range map[string]*origin{"borrowed": newOrigin(t), "fetched": newRemoteOrigin(t)} {
		o.commit("nix/text", name)
		revision := o.commit("nix/fleet.nix", `{ hosts.web1 = builtins.readFile ./text; }`)
		r := newRepository(t, source.Options{URL: o.dir, Branch: "main", Store: &nix.CLI{}, Root: filepath.Join(t.TempDir(), "root"), Entry: noflake.Entry{File: "nix/fleet.nix", Attribute: "hosts"}})
		if got := evaluate(t, checkout(t, r, revision), "nixosConfigurations.web1"); strings.TrimSpace(got) != name {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

func TestNixEvaluatesSubmodules(t *testing.T) {
	dir := t.TempDir()
	o, lib := originIn(t, dir, "fleet"), originIn(t, dir, "lib")
	at := lib.commit("text", "of lib")
	o.commit("default.nix", `{ nixosConfigurations.web1 = builtins.readFile ./lib/text; }`)
	o.commit("nix/flake.nix", `{ outputs = { self }: { text = "${self.rev} ${builtins.readFile ../lib/text}"; }; }`)
	revision := o.submodule("lib", "../lib", at)
	r := newRepository(t, source.Options{URL: o.dir, Branch: "main", Store: &nix.CLI{}, Root: filepath.Join(t.TempDir(), "root"), Subdir: "nix", Submodules: true})
	if got, want := evaluate(t, checkout(t, r, revision), "text"), revision.String()+" of lib"; got != want {
		t.Errorf("the flake is %q, want %q", got, want)
	}
	r = newRepository(t, source.Options{URL: o.dir, Branch: "main", Store: &nix.CLI{}, Root: filepath.Join(t.TempDir(), "root"), Entry: noflake.Entry{File: "default.nix"}, Submodules: true})
	if got := evaluate(t, checkout(t, r, revision), "nixosConfigurations.web1"); got != "of lib" {
		t.Errorf("the file is %q", got)
	}
}
