package activation

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"kedge/proto"
)

// host is a root directory with an old system and a new one, whose
// switch-to-configuration is the given script.
type host struct {
	runner Runner
	log    *bytes.Buffer
	synced []string // what the script had written at each sync
	unsync error    // what syncs fail with
}

// moves is what an activation script does to the host. ROOT is its root.
const moves = `ln -sfn ` + newPath + ` "$ROOT/run/current-system"` + "\n"

func newHost(t *testing.T, script string) *host {
	t.Helper()
	root := t.TempDir()
	h := &host{log: new(bytes.Buffer)}
	h.runner = Runner{
		Root: root, OutputDir: filepath.Join(root, "run"), Log: slog.New(slog.NewTextHandler(h.log, nil)),
		StopGrace: 100 * time.Millisecond,
		Sync: func() error {
			b, err := os.ReadFile(filepath.Join(root, "args"))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			h.synced = append(h.synced, string(b))
			return h.unsync
		},
	}
	bin := filepath.Join(root, newPath, "bin")
	for _, dir := range []string{bin, filepath.Join(root, "run")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(oldPath, filepath.Join(root, "run/current-system")); err != nil {
		t.Fatal(err)
	}
	if script != "" {
		text := "#!/bin/sh\nROOT=" + root + "\n" + script
		if err := os.WriteFile(filepath.Join(bin, "switch-to-configuration"), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func (h *host) file(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(h.runner.Root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestActivate(t *testing.T) {
	tests := []struct {
		name   string
		script string
		effect Effect
		reason proto.Reason
	}{
		{"good", moves + "exit 0", Active, ""},
		{"units failed", moves + "echo 'warning: the following units failed: a.service' >&2; exit 4", Active, ""},
		{"refused", "echo 'Pre-switch checks failed' >&2; exit 1", Untouched, proto.ReasonCheckRefused},
		{"activation script failed", "echo 'activating the configuration...' >&2; echo 'Failed to run activate script' >&2; exit 2", Broken, proto.ReasonActivationFailed},
		{"killed itself", "kill -9 $$", Partial, proto.ReasonActivationFailed},
		{"no program", "", Unstarted, proto.ReasonActivationFailed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t, tt.script)
			got, err := h.runner.Activate(t.Context(), path(t, newPath), false)
			if err != nil {
				t.Fatal(err)
			}
			if got.Effect != tt.effect || got.Reason != tt.reason {
				t.Errorf("got %+v, want %v %v", got, tt.effect, tt.reason)
			}
		})
	}
}

func TestActivateWithoutRoomForOutput(t *testing.T) {
	for _, tt := range []struct {
		script string
		want   Effect
	}{
		{moves + "echo activating >&2", Active},
		{"echo 'Error: no answer' >&2; exit 1", Partial}, // what it said is not known
	} {
		h := newHost(t, tt.script)
		h.runner.OutputDir = filepath.Join(h.runner.Root, "missing")
		got, err := h.runner.Activate(t.Context(), path(t, newPath), false)
		if err != nil || got.Effect != tt.want {
			t.Errorf("%s: got %+v, %v, want %v", tt.script, got, err, tt.want)
		}
		if !strings.Contains(h.log.String(), "not kept") {
			t.Errorf("log: %s", h.log)
		}
	}
}

func TestActivateWithoutCurrentSystem(t *testing.T) {
	h := newHost(t, moves)
	if err := os.Remove(filepath.Join(h.runner.Root, "run/current-system")); err != nil {
		t.Fatal(err)
	}
	got, err := h.runner.Activate(t.Context(), path(t, newPath), false)
	if err != nil || got.Effect != Active {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestActivatePassesOnWhatTheContractSays(t *testing.T) {
	h := newHost(t, `echo "$1" >"$ROOT/args"; env >"$ROOT/env"`)
	h.runner.Environ = []string{"PATH=" + os.Getenv("PATH"), "LOCALE_ARCHIVE=/locale", "NOTIFY_SOCKET=/run/x", "NIXOS_NO_CHECK=1"}
	for _, force := range []bool{false, true} {
		if _, err := h.runner.Activate(t.Context(), path(t, newPath), force); err != nil {
			t.Fatal(err)
		}
		if got := h.file(t, "args"); got != "test\n" {
			t.Errorf("mode: got %q", got)
		}
		env := h.file(t, "env")
		for _, want := range []string{"LOCALE_ARCHIVE=/locale\n", "NIXOS_INSTALL_BOOTLOADER=0\n", "PATH="} {
			if !strings.Contains(env, want) {
				t.Errorf("environment lacks %q:\n%s", want, env)
			}
		}
		if strings.Contains(env, "NOTIFY_SOCKET") {
			t.Errorf("environment has our NOTIFY_SOCKET:\n%s", env)
		}
		if got := strings.Contains(env, "NIXOS_NO_CHECK=1\n"); got != force {
			t.Errorf("force %v: NIXOS_NO_CHECK is set: %v", force, got)
		}
	}
}

func TestActivateLogsTheOutputBounded(t *testing.T) {
	h := newHost(t, "i=0; while [ $i -lt 1000 ]; do echo line-$i; i=$((i+1)); done")
	if _, err := h.runner.Activate(t.Context(), path(t, newPath), false); err != nil {
		t.Fatal(err)
	}
	log := h.log.String()
	if lines := strings.Count(log, "\n"); lines != logHead+logTail+1 {
		t.Errorf("%d lines were logged", lines)
	}
	for _, want := range []string{"line-0\n", "line-999\n", "lines=800"} {
		if !strings.Contains(log, want) {
			t.Errorf("log lacks %q", want)
		}
	}
}

func TestActivateLogsAShortOutputAsAWhole(t *testing.T) {
	h := newHost(t, moves+"echo 'activating the configuration...'; echo; echo 'setting up /etc...'")
	if _, err := h.runner.Activate(t.Context(), path(t, newPath), false); err != nil {
		t.Fatal(err)
	}
	if got := h.log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `lines="activating the configuration...; setting up /etc..."`) {
		t.Errorf("logged is %q, want one line with both", got)
	}
	h = newHost(t, moves)
	if _, err := h.runner.Activate(t.Context(), path(t, newPath), false); err != nil || h.log.Len() > 0 {
		t.Errorf("logged is %q (%v), want nothing of a program that says nothing", h.log, err)
	}
}

func TestActivateReadsBothEndsOfALongOutput(t *testing.T) {
	h := newHost(t, moves+`echo 'activating the configuration...'; head -c 1000000 /dev/zero | tr '\0' x; echo; echo 'warning: the following units failed: a.service'; exit 4`)
	got, err := h.runner.Activate(t.Context(), path(t, newPath), false)
	if err != nil || got.Effect != Active || !strings.Contains(got.Message, "a.service") {
		t.Errorf("got %+v, %v", got, err)
	}
	if h.log.Len() > 10_000 {
		t.Errorf("%d bytes were logged", h.log.Len())
	}
}

// hangs starts a process of its own, tells their ids, and stays.
const hangs = `
trap '' TERM
echo activating the configuration...
sh -c 'trap "" TERM; while :; do sleep 60; done' &
echo $! >"$ROOT/child"; echo $$ >"$ROOT/self"
: >"$ROOT/begun"
while :; do sleep 60; done
`

// begun returns a channel that is closed when the script of h opens "begun",
// which waits for somebody who reads it.
func (h *host) begun(t *testing.T) <-chan struct{} {
	t.Helper()
	fifo := filepath.Join(h.runner.Root, "begun")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	begun := make(chan struct{})
	go func() {
		defer close(begun)
		if f, err := os.Open(fifo); err == nil {
			_ = f.Close() // nothing was read
		}
	}()
	return begun
}

// A deadline is a context whose deadline passes when done is closed.
type deadline struct {
	context.Context
	done <-chan struct{}
}

func (d deadline) Done() <-chan struct{} { return d.done }

func (d deadline) Err() error {
	select {
	case <-d.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func TestActivateEndsEverythingAtTheDeadline(t *testing.T) {
	h := newHost(t, hangs)
	got, err := h.runner.Activate(deadline{t.Context(), h.begun(t)}, path(t, newPath), false)
	if err != nil {
		t.Fatal(err)
	}
	if got.Effect != Broken || got.Reason != proto.ReasonActivationHung {
		t.Errorf("got %+v", got)
	}
	h.requireGone(t)
}

func TestActivateEndsEverythingWhenCancelled(t *testing.T) {
	h := newHost(t, hangs)
	shutdown := errors.New("the host shuts down")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	begun := h.begun(t)
	go func() {
		<-begun
		cancel(shutdown)
	}()
	got, err := h.runner.Activate(ctx, path(t, newPath), false)
	if !errors.Is(err, shutdown) {
		t.Errorf("got %+v, %v; want the cause", got, err)
	}
	h.requireGone(t)
}

// requireGone fails the test if a process of the script runs on.
func (h *host) requireGone(t *testing.T) {
	t.Helper()
	group, err := strconv.Atoi(strings.TrimSpace(h.file(t, "self")))
	if err != nil {
		t.Fatal(err)
	}
	if groupRuns(group) {
		t.Errorf("group %d runs on", group)
	}
	child, err := strconv.Atoi(strings.TrimSpace(h.file(t, "child")))
	if err != nil {
		t.Fatal(err)
	}
	if stat, err := os.ReadFile("/proc/" + strconv.Itoa(child) + "/stat"); err == nil && !strings.Contains(string(stat), ") Z ") {
		t.Errorf("child runs on: %s", stat)
	}
}

func TestActivateNeverStartsPastTheDeadline(t *testing.T) {
	h := newHost(t, `touch "$ROOT/started"`)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := h.runner.Activate(ctx, path(t, newPath), false); !errors.Is(err, context.Canceled) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := os.Stat(filepath.Join(h.runner.Root, "started")); err == nil {
		t.Error("it was started")
	}
}

func TestSetDefault(t *testing.T) {
	tests := []struct {
		name    string
		script  string
		message string // of the error; empty for none
		busy    bool
	}{
		{"good", `echo "$1 $NIXOS_NO_CHECK $NIXOS_INSTALL_BOOTLOADER" >"$ROOT/args"`, "", false},
		{"boot loader refuses", "echo 'no space left' >&2; echo 'Failed to install bootloader' >&2; exit 1", "Failed to install bootloader", false},
		{"somebody else switches", "echo 'Could not acquire lock' >&2; exit 11", "Could not acquire lock", true},
		{"killed", "kill -9 $$", "killed", false},
		{"no program", "", "cannot be executed", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t, tt.script)
			err := h.runner.SetDefault(t.Context(), path(t, newPath))
			if tt.message == "" {
				if err != nil {
					t.Error(err)
				}
				const args = "boot 1 0\n"
				if got := h.file(t, "args"); got != args {
					t.Errorf("called with %q", got)
				}
				if !slices.Equal(h.synced, []string{"", args}) {
					t.Errorf("at the syncs it had written %q, want one before and one after it", h.synced)
				}
				return
			}
			var failure *DefaultError
			if !errors.As(err, &failure) || !strings.Contains(err.Error(), tt.message) || !strings.Contains(err.Error(), newPath) {
				t.Errorf("got %v", err)
			}
			if errors.Is(err, ErrBusy) != tt.busy {
				t.Errorf("busy: got %v, want %v", !tt.busy, tt.busy)
			}
			if len(h.synced) != 1 {
				t.Error("synced after a failure")
			}
		})
	}
}

func TestSetDefaultOnABootPartitionThatFails(t *testing.T) {
	h := newHost(t, `: >"$ROOT/started"`)
	h.unsync = syscall.EIO
	if err := h.runner.SetDefault(t.Context(), path(t, newPath)); !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(h.runner.Root, "started")); err == nil {
		t.Error("the default was moved")
	}
	h = newHost(t, `mkdir "$ROOT/args"`) // from then on syncs fail
	if err := h.runner.SetDefault(t.Context(), path(t, newPath)); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("afterwards: got %v", err)
	}
}

func TestSetDefaultIsInterrupted(t *testing.T) {
	h := newHost(t, hangs)
	if err := h.runner.SetDefault(deadline{t.Context(), h.begun(t)}, path(t, newPath)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	h.requireGone(t)
}

func TestGroupRuns(t *testing.T) {
	if !groupRuns(syscall.Getpgrp()) {
		t.Error("our own group does not run")
	}
}

func TestActivateLeavesNothingOfAGroupThatIgnoresSIGTERM(t *testing.T) {
	h := newHost(t, `trap 'exit 0' TERM; (trap '' TERM; : >"$ROOT/begun"; sleep 60) & wait`)
	h.runner.StopGrace = time.Minute // the leader ends by itself
	start := time.Now()
	got, err := h.runner.Activate(deadline{t.Context(), h.begun(t)}, path(t, newPath), false)
	if err != nil || got.Effect != Broken {
		t.Errorf("got %+v, %v, want a broken system", got, err)
	}
	if took := time.Since(start); took > killPatience/2 {
		t.Errorf("it took %v", took)
	}
}
