//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"kedge/e2e/fleet"
	"kedge/e2e/hosts"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// parts is what every fleet of this run is made of. TestMain sets it.
var parts fleet.Parts //nolint:gochecknoglobals // made once for the whole run

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
	dir, err := os.MkdirTemp("", "kedge-e2e-")
	if err != nil {
		return 1, err
	}
	defer func() { err = joinErr(err, os.RemoveAll(dir)) }()
	if _, err := hosts.Sweep(ctx, "t-"); err != nil {
		return 1, err
	}
	parts, err = fleet.MakeParts(ctx, dir, func(s string) { fmt.Fprintln(os.Stderr, "e2e:", s) })
	if err != nil {
		return 1, err
	}
	return m.Run(), nil
}

func joinErr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// grace is short in scenarios: what it is for is tested where it matters.
const grace = time.Second

// up sets up a fleet named after the test.
func up(t *testing.T, names ...string) *fleet.Fleet {
	t.Helper()
	name := "t-" + strings.ToLower(strings.TrimPrefix(t.Name(), "Test"))
	if len(name) > 24 {
		name = name[:24]
	}
	return fleet.MustUp(t, fleet.Options{Name: name, Hosts: names, Parts: parts, Grace: grace})
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
