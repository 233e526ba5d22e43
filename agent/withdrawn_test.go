package agent_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"kedge/agent"
	"kedge/agent/internal/closure"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/proto"
)

// withdraw publishes what is desired together with a list that withdraws the
// release in it.
func (w *world) withdraw(serial proto.Serial) {
	w.t.Helper()
	w.mu.Lock()
	b := w.desired
	w.mu.Unlock()
	d, err := proto.ParseDesired(b)
	if err != nil {
		w.t.Fatal(err)
	}
	list, err := proto.Withdrawals{Serial: serial, Issued: time.Now(), Releases: []proto.Digest{proto.DigestOf(d.Release.Payload)}}.Sign(w.release)
	if err != nil {
		w.t.Fatal(err)
	}
	d.Withdrawals = &list
	w.publish(d)
}

// publishWithoutList publishes what is desired, as somebody in between may who
// leaves the list out.
func (w *world) publishWithoutList() {
	w.t.Helper()
	w.mu.Lock()
	b := w.desired
	w.mu.Unlock()
	d, err := proto.ParseDesired(b)
	if err != nil {
		w.t.Fatal(err)
	}
	d.Withdrawals = nil
	w.publish(d)
}

func (w *world) publish(d proto.Desired) {
	w.t.Helper()
	b, err := d.Encode()
	if err != nil {
		w.t.Fatal(err)
	}
	w.change(func() { w.desired = b })
	w.ring()
}

func endedWithdrawn(s proto.Status) bool {
	return s.Deployment.Phase == proto.PhaseFailed && s.Deployment.Reason == proto.ReasonWithdrawn &&
		condition(s, proto.ConditionAccepted).Reason == proto.ReasonWithdrawn
}

func TestAReleaseThatIsWithdrawnWhileItIsFetchedFailsForGood(t *testing.T) {
	w := newWorld(t)
	begun, cut := w.fetchUntilCut()
	a, stop := w.startAgent()
	w.assign(7, pathB)
	w.awaitClosed("the fetch", begun)
	w.withdraw(1)
	w.awaitStatus("its end", endedWithdrawn)
	w.awaitClosed("the end of the fetch", cut)
	w.await("that what was fetched is let go of", func() bool { return w.givenUp > 0 })

	// Whoever leaves the list out, now or after a restart, changes nothing.
	w.change(func() {
		w.fetch = func(context.Context, closure.FetchOrder) error { t.Error("fetched a withdrawn release"); return nil }
	})
	w.publishWithoutList()
	if err := a.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop()
	a, _ = w.startAgent()
	if err := a.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := w.awaitStatus("the host at rest", endedWithdrawn)
	if c := condition(s, proto.ConditionWithdrawn); c.Status != proto.StatusFalse || len(w.ensured) > 0 {
		t.Errorf("withdrawn is %+v, ensured %v; want the host left on what is good", c, w.ensured)
	}

	w.change(func() { w.fetch = func(context.Context, closure.FetchOrder) error { return nil } })
	w.assign(8, pathC)
	if d := w.awaitTransaction(); d.Toplevel != pathC {
		t.Errorf("deploys %s, want the next release", d.Toplevel)
	}
}

func TestAReleaseThatIsWithdrawnBeforeItsActivationFails(t *testing.T) {
	w := newWorld(t)
	if err := w.files.Veto(statefile.Veto{Who: "backup"}); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.assign(7, pathB)
	w.awaitStatus("it to be fetched", func(s proto.Status) bool { return s.Deployment.Phase == proto.PhaseFetched })
	w.withdraw(1)
	w.awaitStatus("its end", endedWithdrawn)
	if err := w.files.EndVeto("backup"); err != nil {
		t.Fatal(err)
	}
	w.awaitStatus("the veto to be gone", func(s proto.Status) bool {
		return condition(s, proto.ConditionInhibited).Status == proto.StatusFalse
	})
	if len(w.ensured) > 0 {
		t.Errorf("transactions were begun: %+v", w.ensured)
	}
}

func TestAWithdrawnReleaseThatRunsIsLeftAndReported(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.assign(7, pathB)
	d := w.awaitTransaction()
	w.commit(d)
	if err := w.files.SaveProven(deployment.Proven{Toplevel: pathB, Generation: 2, Release: d.Release}); err != nil {
		t.Fatal(err)
	}
	w.awaitStatus("the commit", func(s proto.Status) bool { return condition(s, proto.ConditionReady).Status == proto.StatusTrue })
	w.withdraw(1)
	s := w.awaitStatus("it to be reported, and decided on", func(s proto.Status) bool {
		return condition(s, proto.ConditionWithdrawn).Status == proto.StatusTrue && condition(s, proto.ConditionReady).Reason == proto.ReasonWithdrawn
	})
	if c := condition(s, proto.ConditionWithdrawn); c.Reason != proto.ReasonWithdrawn || !strings.Contains(c.Message, d.Release.String()) {
		t.Errorf("withdrawn is %+v, want why, and which release", c)
	}
	if c := condition(s, proto.ConditionReady); c.Status != proto.StatusFalse || s.Systems.Current != pathB {
		t.Errorf("ready is %+v on %s, want the host left as it is, and not ready", c, s.Systems.Current)
	}
	if r, err := w.files.Deployment(); err != nil || r.Phase != proto.PhaseCommitted {
		t.Errorf("the record is %s, %v, want it committed as it was", r.Phase, err)
	}

	if c := condition(agent.StatusFromFiles(w.host, w.files.State, w.files.Runtime, time.Now()), proto.ConditionWithdrawn); c.Status != proto.StatusTrue {
		t.Errorf("withdrawn is %+v by the files alone", c)
	}

	// Another release of the very same system is as good as any.
	w.assign(8, pathB)
	s = w.awaitStatus("the next release", func(s proto.Status) bool { return condition(s, proto.ConditionReady).Status == proto.StatusTrue })
	if c := condition(s, proto.ConditionWithdrawn); c.Status != proto.StatusFalse {
		t.Errorf("withdrawn is %+v although another release was accepted", c)
	}
}
