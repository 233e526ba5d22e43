//go:build host

package cache

import (
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
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

// realSystem is a path that refers to itself and to another one. @NOW@ makes
// both new.
const realSystem = `
let make = name: script: derivation {
  inherit name; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" script ];
};
in make "system" "echo @NOW@ $out ${make "app" "echo @NOW@ > $out"} > $out"`

// TestRealHostsFetchWhatWasPushed fetches into another store, over HTTP, with
// nothing trusted but the cache's key.
func TestRealHostsFetchWhatWasPushed(t *testing.T) {
	cli := &nix.CLI{}
	system := realBuild(t)
	c := openReal(t, cli)
	closures, err := c.Push(t.Context(), system)
	must(t, err)
	local, err := cli.Closure(t.Context(), system)
	must(t, err)
	if got, want := closures[system].Digest(), local.Digest(); got != want || len(local) != 2 {
		t.Errorf("digest of the closure: got %s, want that of the store %s; %v", got, want, local)
	}

	server := httptest.NewServer(c.Handler(nil))
	defer server.Close()
	must(t, realFetch(t, server.URL, c.PublicKey(), system))
	other := openReal(t, cli)
	if err := realFetch(t, server.URL, other.PublicKey(), system); err == nil {
		t.Error("a host that trusts another key took it")
	}
}

// TestRealReplacedKey pushes again with another key, of which a host that trusts the old one
// alone notices nothing.
func TestRealReplacedKey(t *testing.T) {
	system := realBuild(t)
	before := openReal(t, &nix.CLI{})
	_, err := before.Push(t.Context(), system)
	must(t, err)
	c, err := Open(Options{
		Nix: &nix.CLI{}, Dir: before.dir, KeyFile: filepath.Join(t.TempDir(), "key"), KeyName: "kedge-test-2", Log: before.log,
	})
	must(t, err)
	_, err = c.Push(t.Context(), system)
	must(t, err)
	server := httptest.NewServer(c.Handler(nil))
	defer server.Close()
	for _, key := range []proto.PublicKey{before.PublicKey(), c.PublicKey()} {
		if err := realFetch(t, server.URL, key, system); err != nil {
			t.Errorf("a host that trusts %s alone: %v", key, err)
		}
	}
}

// realFetch fetches into a store of its own, as a host that trusts one key.
func realFetch(t *testing.T, url string, key proto.PublicKey, system proto.StorePath) error {
	t.Helper()
	_, err := output(t, "nix", "--extra-experimental-features", "nix-command", "copy", "--from", url, "--to", t.TempDir(),
		"--option", "trusted-public-keys", key.String(), "--option", "require-sigs", "true", system.String())
	return err
}

func TestRealSignatures(t *testing.T) {
	cli := &nix.CLI{}
	system := realBuild(t)
	c := openReal(t, cli)
	if err := c.Signed(t.Context(), system, nil); unsignedPaths(err) != 2 {
		t.Fatalf("nothing is signed: got error %v, want an UnsignedError with 2 paths", err)
	}

	// Only one of the two paths.
	ci := filepath.Join(t.TempDir(), "key")
	secret, err := output(t, "nix", "--extra-experimental-features", "nix-command", "key", "generate-secret", "--key-name", "ci-1")
	must(t, err)
	must(t, os.WriteFile(ci, []byte(secret), 0o600))
	key, err := proto.ParseSecretKey(secret)
	must(t, err)
	trusted := []proto.PublicKey{key.Public()}
	sign := func(flags ...string) {
		t.Helper()
		args := append([]string{"--extra-experimental-features", "nix-command", "store", "sign", "--key-file", ci}, flags...)
		_, err := output(t, "nix", append(args, system.String())...)
		must(t, err)
	}
	sign()
	if err := c.Signed(t.Context(), system, trusted); unsignedPaths(err) != 1 {
		t.Errorf("one of two is signed: got error %v, want an UnsignedError with 1 path", err)
	}
	sign("--recursive")
	must(t, c.Signed(t.Context(), system, trusted))
	if err := c.Signed(t.Context(), system, nil); unsignedPaths(err) != 2 {
		t.Errorf("signed by a stranger: got error %v, want an UnsignedError with 2 paths", err)
	}

	// Relaying does not add our signature, pushing does.
	_, err = c.Relay(t.Context(), system)
	must(t, err)
	if info, err := c.lookUp(system); err != nil || info.ours || !info.SignedBy(trusted[0]) {
		t.Errorf("relayed: got %+v, %v, want their signature and not ours", info, err)
	}
	_, err = c.Push(t.Context(), system)
	must(t, err)
	must(t, c.Signed(t.Context(), system, nil))
}

func TestRealPathThatIsNotThere(t *testing.T) {
	c := openReal(t, &nix.CLI{})
	missing := path(t, "missing")
	if err := c.Signed(t.Context(), missing, nil); err == nil || unsignedPaths(err) > 0 {
		t.Errorf("signatures of a path that does not exist: got error %v, want another", err)
	}
	if _, err := c.Push(t.Context(), missing); err == nil {
		t.Error("pushed a path that does not exist")
	}
}

func unsignedPaths(err error) int {
	if unsigned, ok := errors.AsType[*UnsignedError](err); ok {
		return len(unsigned.Paths)
	}
	return 0
}

func openReal(t *testing.T, cli *nix.CLI) *Cache {
	t.Helper()
	state := t.TempDir()
	c, err := Open(Options{
		Nix: cli, Dir: filepath.Join(state, "cache"), KeyFile: filepath.Join(state, "key"), KeyName: "kedge-test-1",
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	must(t, err)
	return c
}

func realBuild(t *testing.T) proto.StorePath {
	t.Helper()
	expression := strings.ReplaceAll(realSystem, "@NOW@", time.Now().Format(time.RFC3339Nano))
	out, err := output(t, "nix-build", "--no-out-link", "--expr", expression)
	must(t, err)
	p, err := proto.ParseStorePath(strings.TrimSpace(out))
	must(t, err)
	return p
}

func output(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	return string(out), err
}
