//go:build host

package cache

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"kedge/e2e/sshd"
	"kedge/internal/nix"
)

// TestRealPushToAnotherMachine copies with the real Nix and the real SSH into the store of
// a machine that trusts the cache's key alone.
func TestRealPushToAnotherMachine(t *testing.T) {
	system, state := realBuild(t), t.TempDir()
	o := Options{
		Nix: &nix.CLI{}, Dir: filepath.Join(state, "cache"), KeyFile: filepath.Join(state, "key"), KeyName: "kedge-test-1",
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	c, err := Open(o)
	must(t, err)
	push := func(setting string) (*sshd.Server, error) {
		s, err := sshd.Start(t.Context(), t.TempDir(), setting)
		must(t, err)
		t.Cleanup(s.Stop)
		c.targets = []Target{{URL: s.Store.URL, SSHKeyFile: s.Store.KeyFile, KnownHostsFile: s.Store.KnownHostsFile}}
		if problems := c.targets[0].Problems(); len(problems) > 0 {
			t.Fatal(problems)
		}
		_, err = c.Push(t.Context(), system)
		return s, err
	}
	s, err := push("trusted-public-keys = ")
	if err == nil {
		t.Error("a machine that does not trust our key took it")
	}
	s.Stop()
	s, err = push("trusted-public-keys = " + c.PublicKey().String())
	must(t, err)
	if _, err := os.Stat(filepath.Join(s.Dir, system.Base())); err != nil {
		t.Error(err)
	}
	s.Stop()
	c.sent = nil
	if _, err := c.Push(t.Context(), system); err == nil {
		t.Error("a machine that is not there took it")
	}
}

// TestRealPushByACommand stands for Cachix' and Attic's: a program that copies, with all
// that they need, the paths that it is told, if it has the token.
func TestRealPushByACommand(t *testing.T) {
	system, state, dir := realBuild(t), t.TempDir(), t.TempDir()
	token := filepath.Join(state, "token")
	must(t, os.WriteFile(token, []byte("s3cret"), 0o600))
	script := filepath.Join(state, "push")
	must(t, os.WriteFile(script, []byte(`#!/bin/sh
test "$FLEET_TOKEN" = s3cret || { echo 401 >&2; exit 1; }
xargs nix --extra-experimental-features nix-command copy --to "file://$1"
`), 0o700))
	c, err := Open(Options{
		Nix: &nix.CLI{}, Dir: filepath.Join(state, "cache"), KeyFile: filepath.Join(state, "key"), KeyName: "kedge-test-1",
		Push: []Target{{Command: []string{script, dir}, TokenFile: token, TokenVariable: "FLEET_TOKEN"}},
		Log:  slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	must(t, err)
	_, err = c.Push(t.Context(), system)
	must(t, err)
	_, err = output(t, "nix", "--extra-experimental-features", "nix-command", "copy", "--from", "file://"+dir, "--to", t.TempDir(),
		"--option", "trusted-public-keys", c.PublicKey().String(), "--option", "require-sigs", "true", system.String())
	must(t, err)
}

// TestRealCachesOfOthersAlone has the real Nix fetch what was pushed without a cache of
// ours, and what another controller relays.
func TestRealCachesOfOthersAlone(t *testing.T) {
	system, state, dir := realBuild(t), t.TempDir(), t.TempDir()
	o, err := OpenOutside(Options{
		Nix: &nix.CLI{}, KeyFile: filepath.Join(state, "key"), KeyName: "kedge-test-1",
		Push: []Target{{URL: "file://" + dir}}, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	must(t, err)
	if err := o.Signed(t.Context(), system, nil); unsignedPaths(err) != 2 {
		t.Errorf("nothing is signed: error = %v, want an UnsignedError with 2 paths", err)
	}
	closures, err := o.Push(t.Context(), system)
	must(t, err)
	local, err := (&nix.CLI{}).Closure(t.Context(), system)
	must(t, err)
	if got, want := closures[system].Digest(), local.Digest(); got != want {
		t.Errorf("digest of the closure: got %s, want that of the store %s", got, want)
	}
	_, err = output(t, "nix", "--extra-experimental-features", "nix-command", "copy", "--from", "file://"+dir, "--to", t.TempDir(),
		"--option", "trusted-public-keys", o.PublicKey().String(), "--option", "require-sigs", "true", system.String())
	must(t, err)
	if left, err := filepath.Glob(filepath.Join(state, "*")); err != nil || len(left) != 1 {
		t.Errorf("in the state directory is %v, %v; want the key alone", left, err)
	}
}
