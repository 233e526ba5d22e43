package fleet

import (
	"context"
	"strings"
	"time"

	"kedge/e2e/toplevel"
	"kedge/proto"
)

// A T is what scenarios fail with; *testing.T is one.
type T interface {
	Helper()
	Name() string
	Context() context.Context
	Cleanup(f func())
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
	Failed() bool
}

// Patience of the Must functions.
const (
	upTimeout   = 5 * time.Minute
	stepTimeout = 2 * time.Minute
)

// MustUp is [Up] with the deadline of a scenario. The fleet goes down with t;
// if t failed, the logs of all machines are printed before.
func MustUp(t T, o Options) *Fleet {
	t.Helper()
	patience := upTimeout
	if len(o.Computers) > 0 {
		patience = computerPatience
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	f, err := Up(ctx, o)
	if err != nil {
		t.Fatalf("set up fleet %s: %v", o.Name, err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			f.Dump(t.Context(), t.Logf)
		}
		if err := f.Down(t.Context()); err != nil {
			t.Logf("take fleet %s down: %v", o.Name, err)
		}
	})
	return f
}

// MustPush is [Fleet.Push].
func (f *Fleet) MustPush(t T, message string, change func(w *toplevel.Fleet)) proto.Revision {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stepTimeout)
	defer cancel()
	rev, err := f.Push(ctx, message, change)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return rev
}

// MustAwaitPhase is [Host.AwaitPhase] within a scenario's patience.
func (h *Host) MustAwaitPhase(t T, rev proto.Revision, phases ...proto.Phase) proto.HostView {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), h.patience())
	defer cancel()
	v, err := h.AwaitPhase(ctx, rev, phases...)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return v
}

// MustAwaitRecord is [Host.AwaitRecord] within a scenario's patience.
func (h *Host) MustAwaitRecord(t T, what string, ok func(Record) bool) Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stepTimeout)
	defer cancel()
	r, err := h.AwaitRecord(ctx, what, ok)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return r
}

// MustAwaitView is [Host.AwaitView] within a scenario's patience.
func (h *Host) MustAwaitView(t T, what string, ok func(proto.HostView) bool) proto.HostView {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), h.patience())
	defer cancel()
	v, err := h.AwaitView(ctx, what, ok)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return v
}

// MustAwaitEvent is [Host.AwaitEvent] within a scenario's patience.
func (h *Host) MustAwaitEvent(t T, what string, ok func(proto.Event) bool) proto.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), h.patience())
	defer cancel()
	e, err := h.AwaitEvent(ctx, what, ok)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return e
}

// MustAwaitBoots waits until the host's computer has booted n times.
func (h *Host) MustAwaitBoots(t T, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), h.patience())
	defer cancel()
	if err := h.computer.AwaitBoots(ctx, n); err != nil {
		t.Fatalf("%v", err)
	}
}

// MustFacts is [Host.Facts].
func (h *Host) MustFacts(t T) Facts {
	t.Helper()
	f, err := h.Facts(t.Context())
	if err != nil {
		t.Fatalf("%s: %v", h.Name(), err)
	}
	return f
}

// MustRun runs a program on the host.
func (h *Host) MustRun(t T, argv ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stepTimeout)
	defer cancel()
	out, err := h.Run(ctx, argv...)
	if err != nil {
		t.Fatalf("%s: %v", h.Name(), err)
	}
	return out
}

// MustToken makes a token with which a host enrols itself, and returns the command
// that kedge says to run there, which reads it.
func (f *Fleet) MustToken(t T, host string) (token string, enroll []string) {
	t.Helper()
	said := f.MustRunOnBuild(t, "sh", "-c", "kedge host token "+host+" 2>&1")
	for line := range strings.Lines(said) {
		_, command, hint := strings.Cut(strings.TrimSpace(line), "as root: ")
		if !hint {
			token = strings.TrimSpace(line)
			continue
		}
		command, _, _ = strings.Cut(command, ", ")
		enroll = strings.Fields(command)
	}
	if token == "" || len(enroll) == 0 {
		t.Fatalf("kedge host token said %q", said)
	}
	return token, enroll
}

// MustRunOnBuild runs a program on the build host.
func (f *Fleet) MustRunOnBuild(t T, argv ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stepTimeout)
	defer cancel()
	out, err := f.build.Run(ctx, argv...)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return out
}

// MustKedge is [Fleet.Kedge].
func (f *Fleet) MustKedge(t T, args ...string) string {
	t.Helper()
	return f.MustRunOnBuild(t, append([]string{"kedge"}, args...)...)
}
