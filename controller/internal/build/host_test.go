//go:build host

package build

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
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

			var heard []string
			builds, err := b.Build(t.Context(), evaluations, func(derivation, line string) { heard = append(heard, derivation+"> "+line) })
			must(t, err)
			for _, want := range []string{"nixos-system-fails> boom", "nginx> no such header"} {
				if !slices.Contains(heard, want) {
					t.Errorf("%q is not in the log:\n%s", want, strings.Join(heard, "\n"))
				}
			}
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

// hog is a host that needs more memory than there is for one.
const hog = `hog.config.system.build.toplevel =
  let all = builtins.genList (i: builtins.genList (j: toString (i * j)) 1000) 40000; in builtins.deepSeq all (throw "it was enough");`

// evalJobsScript is nix-eval-jobs, as far as it is used here: what it takes and
// what it writes is from its source (2.32), and Nix evaluates. Debian has none.
const evalJobsScript = `#!/bin/bash
while [ $# -gt 1 ]; do
  case $1 in
  --flake) ;;
  --select) select=$2; shift;;
  --workers|--max-memory-size) shift;;
  --option) shift 2;;
  *) echo "error: unrecognised flag '$1'" >&2; exit 1;;
  esac
  shift
done
eval() { nix eval --raw --extra-experimental-features 'nix-command flakes' "$@"; }
names=$(eval "$1" --apply "root: builtins.toString (builtins.attrNames (($select) root))") || exit 1
for name in $names; do
  eval "$1" --apply "root: let d = (($select) root).\"$name\"; in builtins.toJSON {
    attr = \"$name\"; attrPath = [ \"$name\" ]; inherit (d) name drvPath system; outputs.out = d.outPath; }" 2>/tmp/evaljobs.err ||
    eval --impure --expr "builtins.toJSON { attr = \"$name\"; attrPath = [ \"$name\" ]; error = builtins.readFile /tmp/evaljobs.err; }"
  echo
done
`

// TestRealFlakeOfManyHosts has more hosts than one process may evaluate.
func TestRealFlakeOfManyHosts(t *testing.T) {
	ref := flake(t, realHosts, "missing.config = { };"+hog)
	bin := t.TempDir()
	must(t, os.WriteFile(filepath.Join(bin, "nix-eval-jobs"), []byte(evalJobsScript), 0o755))
	for name, path := range map[string]string{"a few at a time": "", "nix-eval-jobs": bin + ":"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PATH", path+os.Getenv("PATH"))
			b := realBuilder(t)
			b.o.Memory, b.o.Workers = hostMemory, 2
			got, err := b.Evaluate(t.Context(), ref)
			must(t, err)
			for _, name := range []string{"web1", "1db", "fails", "depends", "not-a-system"} {
				if e := got.Hosts[host(t, name)]; e.Derivation.IsZero() || e.Toplevel.IsZero() {
					t.Errorf("%s: got %v", name, e)
				}
			}
			for name, want := range map[string]string{
				"throws": "this host is broken", "missing": "attribute 'system' missing", "hog": "out of memory",
			} {
				if failed := got.Failed[host(t, name)]; failed == nil || !strings.Contains(strings.ToLower(failed.Error()), want) { // the collector shouts
					t.Errorf("%s: got %v, want it to fail with %q", name, failed, want)
				}
			}
			if len(got.Hosts) != 5 || len(got.Failed) != 3 || len(got.Names) != 1 {
				t.Errorf("evaluated %v, failed %v, names %v", got.Hosts, got.Failed, got.Names)
			}
		})
	}
}

func TestRealFlakeThatSpeaksOfRollouts(t *testing.T) {
	b := realBuilder(t)
	const outputs = `{ outputs = _: {
		nixosConfigurations.web1.config.system.build.toplevel = derivation { name = "a"; system = "x86_64-linux"; builder = "/bin/sh"; };
		packages.x86_64-linux.kedge = throw "this is a package";
		@MORE@
	}; }`
	e, err := b.Evaluate(t.Context(), flake(t, outputs, `kedge = { hosts.web1.tags = [ "web" ]; rollout.freeze = "the fair"; };`))
	must(t, err)
	if e.Spec.Rollout.Freeze != "the fair" || len(e.Spec.Hosts[host(t, "web1")].Tags) != 1 {
		t.Errorf("got %+v, want the tag and the freeze", e.Spec)
	}
	e, err = b.Evaluate(t.Context(), flake(t, outputs, ""))
	must(t, err)
	if e.Spec.Hosts != nil || len(e.Hosts) != 1 {
		t.Errorf("without the output: got %+v, want none", e.Spec)
	}
	for more, want := range map[string]string{
		`kedge = throw "not today";`:                                       "not today",
		`kedge.rollout.freeze = { }.reason;`:                               "attribute 'reason' missing",
		`kedge.rollout.freeze = x: x;`:                                     "function",
		`kedge.rollout.freezes = "x";`:                                     `kedge.rollout.freezes: there is no such attribute; did you mean "freeze"?`,
		`kedge.rollout.waves = [ { name = "a"; hosts = "tag:nobody"; } ];`: `kedge.rollout.waves[0].hosts: no host has the tag "nobody"`,
	} {
		_, err := b.Evaluate(t.Context(), flake(t, outputs, more))
		wrong, ok := err.(*SpecError) //nolint:errorlint // it must be exactly that
		if !ok || !strings.Contains(wrong.Error(), want) {
			t.Errorf("%s: got error %v, want a SpecError with %q", more, err, want)
		}
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
	b, err := New(Options{Nix: &nix.CLI{Log: log}, Roots: filepath.Join(t.TempDir(), "roots"), CopyTo: "file://" + t.TempDir(), Log: log})
	must(t, err)
	return b
}
