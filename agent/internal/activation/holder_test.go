package activation

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// locked is what switch-to-configuration says who finds the lock taken.
const locked = "echo 'Could not acquire lock' >&2; exit 11"

func TestABusyHostSaysWhoSwitches(t *testing.T) {
	h := newHost(t, locked)
	file := filepath.Join(h.runner.Root, lockFile)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	requireNobody := func(when string) {
		t.Helper()
		if got := h.runner.holder(); got != "" {
			t.Errorf("%s: held by%s, want nobody", when, got)
		}
	}
	requireNobody("no file")

	release := hold(t, "flock", file, "sh", "-c", "echo held; read end", "sh", "switch-to-configuration", strings.Repeat("x", 2*commandLimit))
	who := h.runner.holder()
	if !strings.HasPrefix(who, " (process ") || !strings.Contains(who, "flock "+h.runner.Root) || len(who) > 2*commandLimit || !strings.HasSuffix(who, ")") {
		t.Errorf("held by%s, want the process of flock, in brief", who)
	}
	r, err := h.runner.Activate(t.Context(), path(t, newPath), false)
	if err != nil || r.Effect != Busy || !strings.Contains(r.Message, who) {
		t.Errorf("got %+v, %v, want who is switching:%s", r, err, who)
	}
	if err := h.runner.SetDefault(t.Context(), path(t, newPath)); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), who) {
		t.Errorf("got %v, want who is switching:%s", err, who)
	}
	release()
	requireNobody("released")
	if r, err := h.runner.Activate(t.Context(), path(t, newPath), false); err != nil || r.Effect != Busy || strings.Contains(r.Message, "process") {
		t.Errorf("got %+v, %v, want a busy host, and nobody named", r, err)
	}

	// The lock lives on in a child.
	release = hold(t, "sh", "-c", `exec 9>"$1"; flock 9; echo held; read end`, "sh", file)
	if who := h.runner.holder(); !strings.Contains(who, "which has ended") {
		t.Errorf("held by%s, want what has begun it", who)
	}
	release()
}

// hold runs a program that says something once it holds the lock, and returns
// what ends it.
func hold(t *testing.T, args ...string) (release func()) {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...) //nolint:noctx // ended by its input
	end, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	said, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := said.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := end.Close(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // its read fails at the end of its input
	}
}

func TestUnitOfAProcess(t *testing.T) {
	for group, want := range map[string]string{
		"0::/": "", "": "", "1:name=x:/a.service": "",
		"0::/user.slice/user-1000.slice/session-3.scope":             "session-3.scope",
		"0::/system.slice/nixos-upgrade.service/payload":             "nixos-upgrade.service",
		"5:cpu:/\n0::/user.slice/user@0.service/app.slice/x.service": "x.service",
		"0::/payload": "/payload",
	} {
		if got := unitIn(group + "\n"); got != want {
			t.Errorf("unitIn(%q) = %q, want %q", group, got, want)
		}
	}
}
