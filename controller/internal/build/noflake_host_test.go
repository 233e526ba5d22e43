//go:build host

package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kedge/internal/noflake"
	"kedge/proto"
)

// plainFleet is a file without a flake: a function, as many are, with hosts of every
// kind in two places.
const plainFleet = `{ system ? "x86_64-linux" }: let
  toplevel = name: derivation { name = "nixos-system-${name}"; inherit system; builder = "/bin/sh"; };
in {
  production = { tag ? "web" }: {
    hosts = {
      web1.config.system.build.toplevel = toplevel "web1";
      web2 = toplevel "web2";
      broken = throw "this host is broken";
      nothing = { };
      impure = builtins.readFile /etc/hostname;
      Web-Three = throw "must not be evaluated";
    };
    kedge.hosts.web1.tags = [ tag ];
  };
  nixosConfigurations.db1 = toplevel "db1";
}`

func TestRealFileWithoutAFlake(t *testing.T) {
	b := realBuilder(t)
	e, err := b.Evaluate(t.Context(), plain(t, plainFleet, "production.hosts"))
	must(t, err)
	for _, name := range []string{"web1", "web2"} {
		if got := e.Hosts[host(t, name)]; !strings.HasSuffix(got.Toplevel.String(), "-nixos-system-"+name) || got.Derivation.IsZero() {
			t.Errorf("%s: got %v", name, got)
		}
	}
	for name, want := range map[string]string{
		"broken": "this host is broken", "nothing": "attribute 'config' missing", "impure": "is forbidden in pure evaluation mode",
	} {
		if failed := e.Failed[host(t, name)]; failed == nil || failed.Reason != proto.ReasonEvalFailed || !strings.Contains(failed.Error(), want) {
			t.Errorf("%s: got %v, want it to fail with %q", name, failed, want)
		}
	}
	if len(e.Hosts) != 2 || len(e.Failed) != 3 || len(e.Names) != 1 {
		t.Errorf("evaluated %v, failed %v, names %v", e.Hosts, e.Failed, e.Names)
	}
	if tags := e.Spec.Hosts[host(t, "web1")].Tags; len(tags) != 1 || tags[0] != "web" {
		t.Errorf("tags %v, want that of kedge beside the hosts", tags)
	}

	e, err = b.Evaluate(t.Context(), plain(t, plainFleet, ""))
	must(t, err)
	if len(e.Hosts) != 1 || e.Spec.Hosts != nil {
		t.Errorf("without an attribute: got %+v, want db1 alone, and nothing of rollouts", e)
	}
}

func TestRealFileWithoutHosts(t *testing.T) {
	b := realBuilder(t)
	for name, row := range map[string]struct{ text, want string }{
		"no such attribute": {`{ other = { }; }`, "fleet.nix has no attribute production.hosts"},
		"no set":            {`3`, "fleet.nix has no attribute production.hosts"},
		"a lookup path":     {`import <nixpkgs/nixos>`, "pure evaluation mode"},
		"this system":       {`{ production.hosts = { ${builtins.currentSystem} = 1; }; }`, "attribute 'currentSystem' missing"},
		"no hosts":          {`{ production.hosts = { }; }`, "there are no hosts in it"},
	} {
		_, err := b.Evaluate(t.Context(), plain(t, row.text, "production.hosts"))
		failed, ok := err.(*FlakeError) //nolint:errorlint // it must be exactly that
		if !ok || !strings.Contains(failed.Error(), row.want) {
			t.Errorf("%s: got error %v, want a FlakeError with %q", name, err, row.want)
		}
	}
}

// plain writes a file and returns the reference of the flake that is made of it.
func plain(t *testing.T, text, attribute string) string {
	t.Helper()
	dir := t.TempDir()
	flake := noflake.Entry{File: "fleet.nix", Attribute: attribute}.Flake("./source", "")
	must(t, os.Mkdir(filepath.Join(dir, "source"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "source", "fleet.nix"), []byte(text), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "flake.nix"), []byte(flake), 0o644))
	return "path:" + dir
}
