//go:build e2e

package e2e_test

import (
	"path"
	"strings"
	"testing"
	"time"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// slowStart is long enough to do something to a host in the middle of an
// activation.
const slowStart = 4 * time.Second

// TestTransactionOffline: a host without network decides alone, and a host that was off
// gets what is wanted now, not what was wanted meanwhile.
func TestTransactionOffline(t *testing.T) {
	t.Parallel()
	f := upWith(t, fleet.Options{Hosts: []string{"unplugged", "off"}, Deadline: 30 * time.Second})
	unplugged, off := f.Host("unplugged"), f.Host("off")
	commit(t, f, "before", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("before")) })
	before := requireOn(t, unplugged, "before")
	if err := off.PowerCut(t.Context()); err != nil {
		t.Fatal(err)
	}

	missed := f.MustPush(t, "missed", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("missed"))
		fleet.Edit(w, fleet.AddUnit("slow.service", toplevel.StartsSlowly(slowStart)))
	})
	awaitStep(t, unplugged, missed, proto.PhaseActivating)
	if err := unplugged.Unplug(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := unplugged.MustAwaitRecord(t, "an end without network", func(r fleet.Record) bool { return r.Revision == missed && r.Phase.Terminal() })
	if r.Phase != proto.PhaseInconclusive || r.Reason != proto.ReasonNoContact {
		t.Errorf("unplugged: ended %s because of %q: %s; want %s because of %q", r.Phase, r.Reason, r.Message, proto.PhaseInconclusive, proto.ReasonNoContact)
	}
	requireSame(t, unplugged, before)
	if quarantined(t, unplugged, r.Toplevel) {
		t.Error("unplugged: a system was quarantined although nothing was proven against it")
	}
	if err := unplugged.Plug(t.Context()); err != nil {
		t.Fatal(err)
	}
	unplugged.MustAwaitPhase(t, missed, proto.PhaseCommitted)
	requireOn(t, unplugged, "missed")
	unplugged.MustAwaitEvent(t, "what happened while nobody could hear it", func(e proto.Event) bool {
		return e.Deployment == r.ID && e.Phase == proto.PhaseInconclusive && e.Reason == proto.ReasonNoContact
	})

	missedToo := f.MustPush(t, "missed, too", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("missed, too")) })
	off.MustAwaitView(t, "a second revision that it misses", func(v proto.HostView) bool { return v.Want.Revision == missedToo })
	last := f.MustPush(t, "last", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("last")) })
	unplugged.MustAwaitPhase(t, last, proto.PhaseCommitted)
	if err := off.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	off.MustAwaitPhase(t, last, proto.PhaseCommitted)
	requireOn(t, off, "last")
	events, err := off.Events(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e.Revision == missed || e.Revision == missedToo {
			t.Errorf("off: deployed what was overtaken while it was off: %+v", e)
		}
	}
}

// awaitStep waits until the host's record of rev has entered a phase.
func awaitStep(t *testing.T, h *fleet.Host, rev proto.Revision, phase proto.Phase) fleet.Record {
	t.Helper()
	return h.MustAwaitRecord(t, rev.Short()+" to be "+string(phase), func(r fleet.Record) bool {
		return r.Revision == rev && r.Phase == phase
	})
}

// quarantined reports whether the host will not try a system again.
func quarantined(t *testing.T, h *fleet.Host, system proto.StorePath) bool {
	t.Helper()
	name := path.Join(stateDir, "quarantine.json")
	exists, err := h.Exists(name)
	if err != nil {
		t.Fatal(err)
	}
	if !exists {
		return false
	}
	b, err := h.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(b), system.String())
}
