package publish

import (
	"testing"
	"time"

	"kedge/proto"
)

// forget loses what is on the disk.
func (w *world) forget(t *testing.T) *Publisher {
	t.Helper()
	w.shelf.records = map[proto.HostName]Record{}
	w.want = proto.Target{}
	return w.open(t)
}

func TestSyncFindsHostsWhoseFilesAreLost(t *testing.T) {
	w := newWorld(t)
	p := w.open(t)
	w.mustPublish(t, p, w.toplevels[0])
	last := w.mustPublish(t, p, w.toplevels[1])
	p = w.forget(t)
	if err := p.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w.want.Serial != last || w.want.Toplevel != w.toplevels[1] || p.Unsynced() != 0 {
		t.Errorf("found %+v, %d out of step; want serial %s", w.want, p.Unsynced(), last)
	}
	if got := len(w.bus.history); got != 2 {
		t.Errorf("%d statements on the bus, want the 2 from before", got)
	}
	w.clock = w.clock.Add(proto.AssignmentRenewal)
	if err := p.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := w.shelf.records[web1]; r.Target.Serial != last || !r.Issued.After(w.want.Published) {
		t.Errorf("it was not signed anew under its serial: %+v", r.Target)
	}
}

func TestNothingIsPublishedTwiceThatWasForgotten(t *testing.T) {
	w := newWorld(t)
	first := w.mustPublish(t, w.open(t), w.toplevels[0])
	p := w.forget(t)
	if again := w.mustPublish(t, p, w.toplevels[0]); again != first {
		t.Errorf("the same toplevel was published again, under %s, want %s", again, first)
	}
	if len(w.bus.history) != 1 || len(w.bus.audits) != 1 {
		t.Errorf("%d statements, %d audit entries, want one of each", len(w.bus.history), len(w.bus.audits))
	}
	if again := w.mustPublish(t, p, w.toplevels[0]); again != first+1 { // now it is meant
		t.Errorf("published again on purpose under %s, want %s", again, first+1)
	}
	p = w.forget(t)
	if other := w.mustPublish(t, p, w.toplevels[1]); other != first+2 {
		t.Errorf("another toplevel was published under %s, want %s", other, first+2)
	}
}

// TestSerialsGoOnAboveWhatAHostAccepted loses disk and bus: a host takes nothing below
// what it accepted.
func TestSerialsGoOnAboveWhatAHostAccepted(t *testing.T) {
	w := newWorld(t)
	floor := proto.Floor{Serial: 41, Issued: w.clock.Add(time.Hour)}
	accepted := proto.Serial(0)
	o := w.options()
	o.Accepted = func(proto.HostName) proto.Serial { return accepted }
	p, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if s := w.mustPublish(t, p, w.toplevels[0]); s != 1 {
		t.Fatalf("serial = %s before the host said anything", s)
	}
	accepted = floor.Serial
	if err := p.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.toplevels = w.toplevels[:1]
	w.check(t, "after the host spoke")
	if got := w.want.Serial; got != 42 {
		t.Errorf("serial = %s, want 42", got)
	}
	if _, err := w.shelf.records[web1].Desired.Verify(w.trust(), web1, floor, w.clock); err != nil {
		t.Errorf("the host takes it not: %v", err)
	}
	accepted = 60 // somebody else assigned more, and it is lost, too
	if s := w.mustPublish(t, p, w.toplevels[0]); s != 61 {
		t.Errorf("serial = %s, want 61", s)
	}
	accepted = 61 + proto.MaxSerialJump + 1 // no host can have accepted that
	if s := w.mustPublish(t, p, w.toplevels[0]); s != 62 {
		t.Errorf("serial = %s, want 62", s)
	}
}

func TestWhatTheBusMayHoldIsNotOutbid(t *testing.T) {
	w := newWorld(t)
	w.mustPublish(t, w.open(t), w.toplevels[0])
	old := w.shelf.records[web1]
	p := w.open(t)
	last := w.mustPublish(t, p, w.toplevels[1])
	w.shelf.records[web1] = old // restored from a backup
	o := w.options()
	o.Accepted = func(proto.HostName) proto.Serial { return last }
	p, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Renew(t.Context()); err != nil { // before it is known what the bus holds
		t.Fatal(err)
	}
	if err := p.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.shelf.records[web1].Target; got.Serial != last || got.Toplevel != w.toplevels[1] {
		t.Errorf("the host is to run %+v, want serial %s as published", got, last)
	}
}

func TestAWithdrawnReleaseIsNotSignedAboveAFloor(t *testing.T) {
	w := newWorld(t)
	accepted := proto.Serial(0)
	o := w.options()
	o.Accepted = func(proto.HostName) proto.Serial { return accepted }
	p, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	w.mustPublish(t, p, w.toplevels[0])
	if _, _, err := p.Withdraw(t.Context(), "test", w.list(t, 5, w.shelf.records[web1].Desired.Release)); err != nil {
		t.Fatal(err)
	}
	accepted = 9
	if err := p.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.shelf.records[web1].Target.Serial; got != 1 {
		t.Errorf("serial = %s, want 1: nothing new is to be said about it", got)
	}
}
