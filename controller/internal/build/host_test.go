//go:build host

package build

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kedge/internal/nix"
	"kedge/proto"
)

// These tests run the real Nix in whatever system they are started in, which
// must be a test host or a chroot of one (package e2e/adapters starts them):
// they build paths and leave them to the garbage collector.

// realHosts is a flake with hosts of every kind. @NOW@ makes it another one each
// time.
const realHosts = `{
  outputs = _: let
    make = name: script: derivation {
      inherit name; system = "x86_64-linux"; builder = "/bin/sh";
      args = [ "-c" "PATH=/usr/bin:/bin; now=@NOW@; ${script}" ];
    };
    host = name: script: { config.system.build.toplevel = make "nixos-system-${name}" script; };
    toplevel = "mkdir -p $out/bin $out/etc; cd $out; touch init init-interface-version nixos-version; echo >bin/switch-to-configuration; chmod +x bin/*";
    dependency = make "nginx" "echo compiling; echo no such header >&2; exit 3";
  in {
    nixosConfigurations = {
      web1 = host "web1" toplevel;
      "1db" = host "1db" toplevel;
      Web-Two = throw "must not be evaluated";
      throws = throw "this host is broken";
      fails = host "fails" "echo boom; exit 1";
      depends = host "depends" "cat ${dependency}; ${toplevel}";
      not-a-system = host "not-a-system" "echo hello > $out";
      @MORE@
    };
  };
}`

func TestRealFlake(t *testing.T) {
	for name, more := range map[string]string{
		"hosts that throw":                  "",
		"a host that fails the whole flake": "missing.config = { };",
	} {
		t.Run(name, func(t *testing.T) {
			b := realBuilder(t)
			evaluations, err := b.Evaluate(t.Context(), flake(t, realHosts, more))
			must(t, err)
			if len(evaluations.Names) != 1 || evaluations.Names[0].Name != "Web-Two" {
				t.Errorf("bad names: got %v, want Web-Two", evaluations.Names)
			}
			if failed := evaluations.Failed[host(t, "throws")]; failed == nil || !strings.Contains(failed.Error(), "this host is broken") {
				t.Errorf("throws: got %v, want what it threw", failed)
			}
			if failed := evaluations.Failed[host(t, "missing")]; more != "" && (failed == nil || !strings.Contains(failed.Error(), "attribute 'system' missing")) {
				t.Errorf("missing: got %v, want it to miss an attribute", failed)
			}

			builds, err := b.Build(t.Context(), evaluations.Hosts)
			must(t, err)
			for _, good := range []string{"web1", "1db"} {
				p := builds.Toplevels[host(t, good)]
				if err := CheckToplevel(p); err != nil || p.IsZero() {
					t.Errorf("%s: got %q: %v", good, p, err)
				}
				if got, err := os.Readlink(filepath.Join(b.o.Roots, good, p.Hash())); err != nil || got != p.String() {
					t.Errorf("root of %s: got %q, %v, want %s", good, got, err, p)
				}
			}
			for name, want := range map[string]struct {
				reason proto.Reason
				text   string
			}{
				"fails":        {proto.ReasonBuildFailed, "> boom"},
				"depends":      {proto.ReasonBuildFailed, "> no such header"},
				"not-a-system": {proto.ReasonNotAToplevel, "bin/switch-to-configuration"},
			} {
				failed := builds.Failed[host(t, name)]
				if failed == nil || failed.Reason != want.reason || !strings.Contains(failed.Error(), want.text) {
					t.Errorf("%s: got %v, want %s with %q", name, failed, want.reason, want.text)
				}
			}
			if len(builds.Toplevels) != 2 || len(builds.Failed) != 3 {
				t.Errorf("got %d toplevels and %d failures, want 2 and 3", len(builds.Toplevels), len(builds.Failed))
			}
		})
	}
}

func TestRealFlakeWithoutHosts(t *testing.T) {
	b := realBuilder(t)
	for name, row := range map[string]struct{ ref, missing string }{
		"no nixosConfigurations": {flake(t, "{ outputs = _: { }; }", ""), "nixosConfigurations"},
		"no hosts":               {flake(t, "{ outputs = _: { nixosConfigurations = { }; }; }", ""), "nixosConfigurations"},
		"no flake.nix":           {"path:" + t.TempDir(), "flake.nix"},
		"a syntax error":         {flake(t, "{ outputs = ", ""), ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.Evaluate(t.Context(), row.ref)
			failed, ok := err.(*FlakeError) //nolint:errorlint // it must be exactly that
			if !ok || failed.Missing != row.missing {
				t.Errorf("got error %v, want a FlakeError that misses %q", err, row.missing)
			}
		})
	}
}

// flake writes a flake and returns its reference.
func flake(t *testing.T, text, more string) string {
	t.Helper()
	dir := t.TempDir()
	text = strings.NewReplacer("@NOW@", time.Now().Format(time.RFC3339Nano), "@MORE@", more).Replace(text)
	must(t, os.WriteFile(filepath.Join(dir, "flake.nix"), []byte(text), 0o644))
	return "path:" + dir
}

func realBuilder(t *testing.T) *Builder {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	b, err := New(Options{Nix: &nix.CLI{Log: log}, Roots: filepath.Join(t.TempDir(), "roots"), Log: log})
	must(t, err)
	return b
}
