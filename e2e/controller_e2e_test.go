//go:build e2e

package e2e_test

import (
	"testing"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// TestController: the controller may die at any time, and NATS may forget
// everything.
func TestController(t *testing.T) {
	t.Parallel()
	f := up(t, "web1", "web2")
	serials := map[string]proto.Serial{}
	requireNewSerials := func(t *testing.T, rev proto.Revision) {
		t.Helper()
		for _, h := range f.Hosts() {
			now := requirePublished(t, h, rev).Serial
			if now <= serials[h.Name()] {
				t.Errorf("%s: serial %s was used before", h.Name(), now)
			}
			serials[h.Name()] = now
		}
	}
	requireNewSerials(t, commit(t, f, "before", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("before")) }))

	t.Run("killed as a revision arrives", func(t *testing.T) {
		rev := f.MustPush(t, "first", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("first")) })
		killController(t, f)
		for _, h := range f.Hosts() {
			h.MustAwaitPhase(t, rev, proto.PhaseCommitted)
			requireOn(t, h, "first")
		}
		requireNewSerials(t, rev)
	})
	t.Run("killed in the middle of a rollout", func(t *testing.T) {
		rev := f.MustPush(t, "second", func(w *toplevel.Fleet) {
			fleet.Edit(w, fleet.App("second"))
			fleet.Edit(w, fleet.AddUnit("slow.service", toplevel.StartsSlowly(slowStart)), "web1")
		})
		awaitStep(t, f.Host("web1"), rev, proto.PhaseActivating)
		killController(t, f)
		for _, h := range f.Hosts() {
			h.MustAwaitPhase(t, rev, proto.PhaseCommitted)
			requireOn(t, h, "second")
		}
		requireNewSerials(t, rev)
	})
	// requireNothingLost runs a script that does something to what NATS stores: hosts
	// stay as they are, find again what they were told last, and are told more.
	requireNothingLost := func(t *testing.T, app, script string) {
		t.Helper()
		before := map[string]fleet.Facts{}
		for _, h := range f.Hosts() {
			before[h.Name()] = h.MustFacts(t)
		}
		withoutController(t, f, func() { f.MustRunOnBuild(t, "sh", "-c", script) })
		for _, h := range f.Hosts() {
			v := h.MustAwaitView(t, "a new status", func(v proto.HostView) bool {
				return v.Status != nil && v.Status.Serial == v.Want.Serial && condition(v, proto.ConditionReady).Status == proto.StatusTrue
			})
			if v.Want.Serial != serials[h.Name()] {
				t.Errorf("%s: serial %s is published again, want %s", h.Name(), v.Want.Serial, serials[h.Name()])
			}
			requireSame(t, h, before[h.Name()])
			// What was republished is what a host reads that has just started.
			h.MustRun(t, "systemctl", "restart", "kedge-agent.service")
		}
		for _, h := range f.Hosts() {
			awaitContact(t, h, serials[h.Name()])
			requireSame(t, h, before[h.Name()])
		}
		rev := commit(t, f, app, func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App(app)) })
		for _, h := range f.Hosts() {
			requireOn(t, h, app)
		}
		requireNewSerials(t, rev)
	}
	t.Run("NATS wiped", func(t *testing.T) {
		requireNothingLost(t, "third", "rm -r "+natsStore)
	})
	t.Run("NATS restored from yesterday", func(t *testing.T) {
		withoutController(t, f, func() { f.MustRunOnBuild(t, "cp", "--archive", natsStore, "/var/lib/yesterday") })
		requireNewSerials(t, commit(t, f, "fourth", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("fourth")) }))
		requireNothingLost(t, "fifth", "rm -r "+natsStore+" && mv /var/lib/yesterday "+natsStore)
	})
}

// natsStore is what NATS stores, on the build host.
const natsStore = "/var/lib/kedge-controller/nats/jetstream"

// withoutController does something while the controller, with its NATS server, is
// down.
func withoutController(t *testing.T, f *fleet.Fleet, do func()) {
	t.Helper()
	f.MustRunOnBuild(t, "systemctl", "stop", "kedge-controller.service")
	do()
	f.MustRunOnBuild(t, "systemctl", "start", "kedge-controller.service")
}

// killController kills it without warning; systemd starts it again.
func killController(t *testing.T, f *fleet.Fleet) {
	t.Helper()
	f.MustRunOnBuild(t, "systemctl", "kill", "--kill-whom=all", "--signal=KILL", "kedge-controller.service")
}
