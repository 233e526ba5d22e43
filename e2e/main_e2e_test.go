//go:build e2e

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"

	"kedge/e2e/fleet"
	"kedge/e2e/hosts"
	"kedge/e2e/internal/command"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// parts is what every fleet of this run is made of. TestMain sets it.
var parts fleet.Parts //nolint:gochecknoglobals // made once for the whole run

// machines bounds how many run at a time, whatever the number of processors: each
// has half a dozen of the inotify instances that root has, 128 on most systems,
// and they are slow enough already.
var machines = semaphore.NewWeighted(maxMachines) //nolint:gochecknoglobals // the scenarios share the machine

// maxMachines is enough for the largest fleet, of eleven hosts and a build host, and lets
// small ones run beside it.
const maxMachines = 16

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	if _, err := hosts.Sweep(ctx, "t-"); err != nil {
		return 1, err
	}
	name := fmt.Sprintf("t-parts-%d", os.Getpid())
	parts, err = fleet.MakeParts(ctx, name, func(s string) { fmt.Fprintln(os.Stderr, "e2e:", s) })
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, parts.Remove()) }()
	return m.Run(), nil
}

// grace is short in scenarios: what it is for is tested where it matters.
const grace = time.Second

// up sets up a fleet named after the test.
func up(t *testing.T, names ...string) *fleet.Fleet {
	t.Helper()
	return upWith(t, fleet.Options{Hosts: names})
}

// upWith is up with more to say. It waits until there is room for the fleet,
// which is until others are down.
func upWith(t *testing.T, o fleet.Options) *fleet.Fleet {
	t.Helper()
	o.Name = "t-" + strings.ToLower(strings.TrimPrefix(strings.TrimPrefix(t.Name(), "Test"), "Transaction"))
	o.Name = o.Name[:min(len(o.Name), maxName)]
	o.Parts, o.Grace = parts, grace
	size := int64(len(o.Hosts) + 1) // computers have their own inotify instances
	if err := machines.Acquire(t.Context(), size); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { machines.Release(size) })
	return fleet.MustUp(t, o)
}

// maxName is how long a fleet's name may be.
const maxName = 24

// compile returns a program for hosts, of a package.
func compile(t *testing.T, pkg string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "program")
	if _, err := command.Run(t.Context(), command.Command{
		Args: []string{"go", "build", "-o", file, pkg}, Env: append(os.Environ(), "CGO_ENABLED=0"),
	}); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// requireOn fails unless everything on the host says that it runs the app
// version given, committed.
func requireOn(t *testing.T, h *fleet.Host, app string) fleet.Facts {
	t.Helper()
	f := h.MustFacts(t)
	if !f.One() {
		t.Errorf("%s: current, profile and boot default differ: %+v", h.Name(), f)
	}
	if f.App != app {
		t.Errorf("%s: the app answers %q, want %q", h.Name(), f.App, app)
	}
	return f
}

// commit pushes a change and waits until every host has committed it.
func commit(t *testing.T, f *fleet.Fleet, message string, change func(w *toplevel.Fleet)) proto.Revision {
	t.Helper()
	rev := f.MustPush(t, message, change)
	for _, h := range f.Hosts() {
		h.MustAwaitPhase(t, rev, proto.PhaseCommitted)
	}
	return rev
}

// requireEnd waits until the host has decided about rev, and fails unless it
// ended in the phase for the reason, in its status and in its history.
func requireEnd(t *testing.T, h *fleet.Host, rev proto.Revision, phase proto.Phase, reason proto.Reason) proto.DeploymentStatus {
	t.Helper()
	v := h.MustAwaitView(t, "an end of "+rev.Short(), func(v proto.HostView) bool {
		return v.Status != nil && v.Status.Deployment.Revision == rev && v.Status.Deployment.Phase.Terminal()
	})
	d := v.Status.Deployment
	if d.Phase != phase || d.Verdict != phase.Verdict() || d.Reason != reason {
		t.Errorf("%s: ended %s (%s) because of %q: %s; want %s because of %q", h.Name(), d.Phase, d.Verdict, d.Reason, d.Message, phase, reason)
		return d
	}
	h.MustAwaitEvent(t, fmt.Sprintf("the event %s, %s", phase, reason), func(e proto.Event) bool {
		return e.Deployment == d.ID && e.Phase == phase && (e.Reason == reason || phase == proto.PhaseCommitted)
	})
	return d
}

// requireSame fails unless the host is as it was, in every respect.
func requireSame(t *testing.T, h *fleet.Host, before fleet.Facts) {
	t.Helper()
	if after := h.MustFacts(t); after != before {
		t.Errorf("%s: is not as it was before: %+v, was %+v", h.Name(), after, before)
	}
}

// An end is how a deployment ends, and why.
type end struct {
	phase  proto.Phase
	reason proto.Reason
}

// condition returns a condition that the host reports; zero if it does not.
func condition(v proto.HostView, of proto.ConditionType) proto.Condition {
	if v.Status == nil {
		return proto.Condition{}
	}
	c, _ := v.Status.Condition(of)
	return c
}

// awaitReason waits until a condition of the host is as given, for that reason.
func awaitReason(t *testing.T, h *fleet.Host, of proto.ConditionType, is proto.ConditionStatus, why proto.Reason) proto.HostView {
	t.Helper()
	return h.MustAwaitView(t, fmt.Sprintf("%s to be %s because of %q", of, is, why), func(v proto.HostView) bool {
		c := condition(v, of)
		return c.Status == is && c.Reason == why
	})
}

// requireSays fails unless text has every one of the words.
func requireSays(t *testing.T, what, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%s does not say %q:\n%s", what, w, text)
		}
	}
}

// exitCode returns the code that a program ended with, and what it said.
func exitCode(t *testing.T, err error) (code int, stderr string) {
	t.Helper()
	var failed *command.Error
	if err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	if err == nil {
		return 0, ""
	}
	return failed.Code, failed.Stderr
}
