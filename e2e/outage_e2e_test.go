//go:build e2e

package e2e_test

import (
	"encoding/json"
	"path"
	"testing"
	"time"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// outageStart is time enough for every host to be activating at once.
const outageStart = 15 * time.Second

// TestTransactionOutage: NATS goes down in the middle of a rollout. Every host
// goes back, nothing is held against the new system, and nobody boots; when NATS
// is back, the rollout goes on.
func TestTransactionOutage(t *testing.T) {
	t.Parallel()
	f := upWith(t, fleet.Options{Hosts: []string{"web1", "web2"}, Deadline: 30 * time.Second})
	commit(t, f, "before", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("before"))
		fleet.Edit(w, fleet.Config("probation:\n", "reboot: {last_resort: true, last_resort_after: 1s}\nprobation:\n"))
	})
	before, boots := map[string]fleet.Facts{}, map[string]int{}
	for _, h := range f.Hosts() {
		before[h.Name()], boots[h.Name()] = requireOn(t, h, "before"), h.Boots()
	}
	rev := f.MustPush(t, "after", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("after"))
		fleet.Edit(w, fleet.AddUnit("slow.service", toplevel.StartsSlowly(outageStart)))
	})
	for _, h := range f.Hosts() {
		awaitStep(t, h, rev, proto.PhaseActivating)
	}
	f.MustRunOnBuild(t, "systemctl", "stop", "kedge-controller.service")
	ended := map[string]fleet.Record{}
	for _, h := range f.Hosts() {
		r := h.MustAwaitRecord(t, "an end without NATS", func(r fleet.Record) bool { return r.Revision == rev && r.Phase.Terminal() })
		if r.Phase != proto.PhaseInconclusive || r.Reason != proto.ReasonNoContact {
			t.Errorf("%s: ended %s because of %q: %s; want %s because of %q", h.Name(), r.Phase, r.Reason, r.Message, proto.PhaseInconclusive, proto.ReasonNoContact)
		}
		if quarantined(t, h, r.Toplevel) {
			t.Errorf("%s: a system was quarantined although nothing was proven against it", h.Name())
		}
		requireSame(t, h, before[h.Name()])
		ended[h.Name()] = r
	}
	f.MustRunOnBuild(t, "systemctl", "start", "kedge-controller.service")
	for _, h := range f.Hosts() {
		h.MustAwaitPhase(t, rev, proto.PhaseCommitted)
		requireOn(t, h, "after")
		h.MustAwaitEvent(t, "what happened while nobody could hear it", func(e proto.Event) bool {
			return e.Deployment == ended[h.Name()].ID && e.Phase == proto.PhaseInconclusive && e.Reason == proto.ReasonNoContact
		})
		if h.Boots() != boots[h.Name()] {
			t.Errorf("%s: was booted %d times, want %d", h.Name(), h.Boots(), boots[h.Name()])
		}
	}
	testClockAndForgotten(t, f)
}

// testClockAndForgotten: the clock of web2 falls back by a year after something
// was accepted: it installs nothing, and runs on. web1 loses its record, and
// begins anew.
func testClockAndForgotten(t *testing.T, f *fleet.Fleet) {
	t.Helper()
	clock, forgotten := f.Host("web2"), f.Host("web1")
	before := clock.MustFacts(t)
	for _, h := range f.Hosts() {
		h.MustRun(t, "systemctl", "stop", "kedge-agent.service")
	}
	// That the host has accepted what was issued in a year is what its clock in
	// the past looks like to it.
	floors := path.Join(stateDir, "floors.json")
	right, err := clock.ReadFile(floors)
	if err != nil {
		t.Fatal(err)
	}
	var document map[string]any
	if err := json.Unmarshal(right, &document); err != nil {
		t.Fatal(err)
	}
	document["latest"] = time.Now().AddDate(1, 0, 0)
	later, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	if err := clock.WriteFile(floors, later, 0o600); err != nil {
		t.Fatal(err)
	}
	forgotten.MustRun(t, "rm", path.Join(stateDir, "deployment.json"))
	for _, h := range f.Hosts() {
		h.MustRun(t, "systemctl", "start", "kedge-agent.service")
	}

	rev := f.MustPush(t, "later", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("later")) })
	forgotten.MustAwaitPhase(t, rev, proto.PhaseCommitted)
	requireOn(t, forgotten, "later")
	awaitReason(t, clock, proto.ConditionAccepted, proto.StatusFalse, proto.ReasonClock)
	requireSays(t, "`kedge status`", f.MustKedge(t, "status", "web2"), "clock")
	requireSame(t, clock, before)

	clock.MustRun(t, "systemctl", "stop", "kedge-agent.service")
	if err := clock.WriteFile(floors, right, 0o600); err != nil {
		t.Fatal(err)
	}
	clock.MustRun(t, "systemctl", "start", "kedge-agent.service")
	clock.MustAwaitPhase(t, rev, proto.PhaseCommitted)
	requireOn(t, clock, "later")
}
