//go:build host

package nix

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/proto"
)

// These tests run the real Nix in whatever system they are started in, which
// must be a test host or a chroot of one: they build paths and leave them to the
// garbage collector.

const testExpression = `
let
  make = name: deps: derivation {
    inherit name deps;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    PATH = "/usr/bin:/bin";
    args = [ "-c" "mkdir $out; echo $deps > $out/deps" ];
  };
in {
  good = make "good" [ (make "dependency" [ ]) ];
  bad = derivation {
    name = "bad";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" "echo the reason >&2; exit 3" ];
  };
  slow = derivation {
    name = "slow";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" "/bin/sleep 60" ];
  };
}
`

func TestRealBuild(t *testing.T) {
	c := realCLI(t)
	buildGood(t, c)
	err := c.Realise(t.Context(), RealiseOptions{Derivations: []proto.StorePath{instantiate(t, c, "bad")}, KeepGoing: true})
	var ce *CommandError
	if !errors.As(err, &ce) || ce.ExitCode == 0 || !strings.Contains(ce.Stderr, "the reason") {
		t.Errorf("bad derivation: got %v", err)
	}
}

func TestRealQueries(t *testing.T) {
	ctx, c := t.Context(), realCLI(t)
	good := buildGood(t, c)
	closure, err := c.Closure(ctx, good)
	if err != nil {
		t.Fatal(err)
	}
	if len(closure) != 2 {
		t.Fatalf("closure: got %v, want two paths", closure)
	}
	for _, p := range closure {
		if got := output(t, c, "nix-store", "--query", "--hash", p.Path.String()); got != p.NarHash {
			t.Errorf("hash of %s: got %s, want %s", p.Path, p.NarHash, got)
		}
		if got := output(t, c, "nix-store", "--query", "--size", p.Path.String()); got != strconv.FormatUint(p.NarSize, 10) {
			t.Errorf("size of %s: got %d, want %s", p.Path, p.NarSize, got)
		}
	}
	missing := parsePath(t, "/nix/store/00000000000000000000000000000000-missing")
	invalid, err := c.Invalid(ctx, good, missing)
	if err != nil || !slices.Equal(invalid, []proto.StorePath{missing}) {
		t.Errorf("invalid: got %v, %v, want %v", invalid, err, missing)
	}
	all, err := c.Closures(ctx, good, closure[0].Path)
	for p, got := range all {
		if alone, err := c.Closure(ctx, p); err != nil || string(got.Text()) != string(alone.Text()) {
			t.Errorf("closure of %s: got %v, %v, want %v as by itself", p, got, err, alone)
		}
	}
	if err != nil || len(all) != 2 {
		t.Errorf("closures: got %v, %v, want two", all, err)
	}
	if _, err := c.Closure(ctx, missing); err == nil || !strings.Contains(err.Error(), missing.String()) {
		t.Errorf("closure of a missing path: got %v", err)
	}
	if v, err := c.Version(ctx); err != nil || !strings.HasPrefix(v, "2.") {
		t.Errorf("version: got %q, %v", v, err)
	}
}

func TestRealSubstitutionWantsTheTrustedSignature(t *testing.T) {
	ctx, c := t.Context(), realCLI(t)
	good := buildGood(t, c)
	want, err := c.Closure(ctx, good)
	if err != nil {
		t.Fatal(err)
	}

	cache, secret := t.TempDir(), filepath.Join(t.TempDir(), "secret")
	key, foreign := generateKey(t, "cache-1"), generateKey(t, "foreign-1")
	if err := os.WriteFile(secret, []byte(key.Reveal()), 0o600); err != nil {
		t.Fatal(err)
	}
	to := CopyOptions{To: "file://" + cache + "?compression=zstd&secret-key=" + secret, Paths: []proto.StorePath{good}}
	if err := c.Copy(ctx, to); err != nil {
		t.Fatal(err)
	}
	output(t, c, "nix-store", "--delete", good.String())

	from := SubstituteOptions{From: "file://" + cache, Path: good, TrustedKeys: []proto.PublicKey{foreign.Public()}}
	if _, err := c.Substitute(ctx, from); err == nil || !strings.Contains(err.Error(), "signed") {
		t.Errorf("substitute with a foreign key: got %v", err)
	}
	if invalid, err := c.Invalid(ctx, good); err != nil || len(invalid) != 1 {
		t.Errorf("after the refusal: invalid %v, %v", invalid, err)
	}
	from.TrustedKeys = []proto.PublicKey{foreign.Public(), key.Public()}
	for _, when := range []string{"first", "again"} {
		got, err := c.Substitute(ctx, from)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.Text(), got.Text()); diff != "" {
			t.Errorf("%s: closure (-want +got):\n%s", when, diff)
		}
	}
	from.From += "?trusted=true"
	if _, err := c.Substitute(ctx, from); err == nil {
		t.Error("a parameter that turns signatures off was accepted")
	}
}

func TestRealRepair(t *testing.T) {
	ctx, c := t.Context(), realCLI(t)
	good := buildGood(t, c)
	closure, err := c.Requisites(ctx, good)
	if err != nil {
		t.Fatal(err)
	}
	cache, secret := t.TempDir(), filepath.Join(t.TempDir(), "secret")
	key := generateKey(t, "cache-1")
	if err := os.WriteFile(secret, []byte(key.Reveal()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.Copy(ctx, CopyOptions{To: "file://" + cache + "?secret-key=" + secret, Paths: []proto.StorePath{good}}); err != nil {
		t.Fatal(err)
	}
	requireChanged := func(want ...proto.StorePath) {
		t.Helper()
		if got, err := c.Changed(ctx, closure...); err != nil || !slices.Equal(got, want) {
			t.Errorf("changed: got %v, %v, want %v", got, err, want)
		}
	}
	requireChanged()
	repair := SubstituteOptions{From: "file://" + cache, Path: good, TrustedKeys: []proto.PublicKey{generateKey(t, "foreign-1").Public()}}
	deps := filepath.Join(good.String(), "deps")
	for _, spoil := range []func() error{
		func() error { return os.WriteFile(deps, make([]byte, 100), 0o444) },
		func() error { return os.Remove(deps) },
		func() error { return os.RemoveAll(good.String()) },
	} {
		if err := errors.Join(os.Chmod(good.String(), 0o755), spoil()); err != nil { //nolint:gosec // a path of the store
			t.Fatal(err)
		}
		requireChanged(good)
		if err := c.Repair(ctx, repair); err == nil {
			t.Error("repaired with a foreign key, or built")
		}
		requireChanged(good)
		trusted := repair
		trusted.TrustedKeys = []proto.PublicKey{key.Public()}
		if err := c.Repair(ctx, trusted); err != nil {
			t.Error(err)
		}
		requireChanged()
	}
}

// Garbage is deleted, and what a profile's generation leads to is not.
func TestRealGarbage(t *testing.T) {
	ctx, c := t.Context(), realCLI(t)
	good := buildGood(t, c)
	closure, err := c.Closure(ctx, good)
	if err != nil {
		t.Fatal(err)
	}
	kept := closure[0].Path
	if kept == good {
		kept = closure[1].Path
	}
	if err := (Links{}).SetProfile(ctx, "/nix/var/nix/profiles/kedge-test", kept); err != nil {
		t.Fatal(err)
	}
	if err := c.CollectGarbage(ctx, 1<<60); err != nil {
		t.Fatal(err)
	}
	if invalid, err := c.Invalid(ctx, good, kept); err != nil || !slices.Equal(invalid, []proto.StorePath{good}) {
		t.Errorf("collected: got %v, %v, want %v", invalid, err, good)
	}
}

func TestRealEval(t *testing.T) {
	ctx, c := t.Context(), realCLI(t)
	flake := t.TempDir()
	text := `{ outputs = _: { numbers = { a = 1; }; bad = throw "no such host"; }; }`
	if err := os.WriteFile(filepath.Join(flake, "flake.nix"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var names []string
	o := EvalOptions{Installable: "path:" + flake + "#numbers", Apply: "builtins.attrNames"}
	if err := c.EvalInto(ctx, o, &names); err != nil || !slices.Equal(names, []string{"a"}) {
		t.Errorf("evaluate: got %v, %v", names, err)
	}
	o = EvalOptions{Installable: "path:" + flake + "#bad"}
	if _, err := c.Eval(ctx, o); err == nil || !strings.Contains(err.Error(), "no such host") {
		t.Errorf("evaluate a throw: got %v", err)
	}
}

func TestRealBuildStopsWithItsContext(t *testing.T) {
	c := realCLI(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	start := time.Now()
	err := c.Realise(ctx, RealiseOptions{Derivations: []proto.StorePath{instantiate(t, c, "slow")}})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
	if took := time.Since(start); took > stopDelay {
		t.Errorf("it took %v", took)
	}
}

func realCLI(t *testing.T) *CLI {
	t.Helper()
	if _, err := exec.LookPath("nix-store"); err != nil {
		t.Fatal("nix-store is not on PATH: run this test in a test host")
	}
	return &CLI{CacheDir: t.TempDir()}
}

// buildGood returns a path that refers to one other path.
func buildGood(t *testing.T, c *CLI) proto.StorePath {
	t.Helper()
	drv := instantiate(t, c, "good")
	if err := c.Realise(t.Context(), RealiseOptions{Derivations: []proto.StorePath{drv}}); err != nil {
		t.Fatal(err)
	}
	return parsePath(t, output(t, c, "nix-store", "--query", "--outputs", drv.String()))
}

func instantiate(t *testing.T, c *CLI, attribute string) proto.StorePath {
	t.Helper()
	file := filepath.Join(t.TempDir(), "test.nix")
	if err := os.WriteFile(file, []byte(testExpression), 0o600); err != nil {
		t.Fatal(err)
	}
	return parsePath(t, output(t, c, "nix-instantiate", file, "-A", attribute))
}

func output(t *testing.T, c *CLI, program string, args ...string) string {
	t.Helper()
	out, err := c.run(t.Context(), program, args, nil)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func generateKey(t *testing.T, name string) proto.SecretKey {
	t.Helper()
	key, err := proto.GenerateKey(name, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
