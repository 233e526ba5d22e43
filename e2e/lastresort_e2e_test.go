//go:build e2e

package e2e_test

import (
	"context"
	"testing"
	"time"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// lastResort allows it after a time that is short for a scenario.
func lastResort(h *toplevel.Host) {
	fleet.Config("probation:\n", "reboot: {last_resort: true, last_resort_after: 20s}\nprobation:\n")(h)
}

// TestTransactionLastResort: a host that went back and hears from nobody reboots,
// once; one that is suspended does not. That NATS alone is silent is no reason is in
// [TestTransactionOutage].
func TestTransactionLastResort(t *testing.T) {
	t.Parallel()
	f := upWith(t, fleet.Options{Hosts: []string{"lost", "paused"}, Deadline: 30 * time.Second})
	lost, paused := f.Host("lost"), f.Host("paused")
	commit(t, f, "before", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("before"))
		fleet.Edit(w, lastResort)
	})
	before := map[string]fleet.Facts{}
	for _, h := range f.Hosts() {
		before[h.Name()] = requireOn(t, h, "before")
	}
	rev := f.MustPush(t, "after", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("after"))
		fleet.Edit(w, fleet.AddUnit("slow.service", toplevel.StartsSlowly(slowStart)))
	})
	ended := map[string]fleet.Record{}
	for _, h := range f.Hosts() {
		awaitStep(t, h, rev, proto.PhaseActivating)
		if err := h.Unplug(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	paused.MustRun(t, "kedge-agent", "suspend")
	for _, h := range f.Hosts() {
		ended[h.Name()] = h.MustAwaitRecord(t, "an end without network", func(r fleet.Record) bool { return r.Revision == rev && r.Phase.Terminal() })
	}
	awaitBoots(t, lost, 2)
	if err := lost.Plug(t.Context()); err != nil {
		t.Fatal(err)
	}
	lost.MustAwaitEvent(t, "the last resort", func(e proto.Event) bool {
		return e.Deployment == ended["lost"].ID && e.Reason == proto.ReasonLastResort
	})
	lost.MustAwaitPhase(t, rev, proto.PhaseCommitted)
	requireOn(t, lost, "after")
	if lost.Boots() != 2 || paused.Boots() != 1 {
		t.Errorf("lost was booted %d times, want 2; paused, which is suspended, %d, want 1", lost.Boots(), paused.Boots())
	}
	requireSame(t, paused, before["paused"])
}

// awaitBoots waits until a host was booted n times.
func awaitBoots(t *testing.T, h *fleet.Host, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for h.Boots() < n {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s was booted %d times, want %d", h.Name(), h.Boots(), n)
		}
	}
}
