package publish

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/internal/durable"
	"kedge/proto"
)

func (w *world) mustPublish(t *testing.T, p *Publisher, toplevel proto.StorePath) proto.Serial {
	t.Helper()
	s, err := p.Publish(t.Context(), "test", Order{Release: w.release(p, toplevel), Mode: proto.ModeSwitch})
	if err != nil {
		t.Fatalf("publish %s: %v", toplevel, err)
	}
	return s
}

func TestPublishGoesUp(t *testing.T) {
	w := newWorld(t)
	p := w.open(t)
	a, b := w.toplevels[0], w.toplevels[1]
	var got []proto.Serial
	for _, toplevel := range []proto.StorePath{a, b, a} {
		got = append(got, w.mustPublish(t, p, toplevel))
	}
	if diff := cmp.Diff([]proto.Serial{1, 2, 3}, got); diff != "" {
		t.Errorf("serials of A, B, A (-want +got):\n%s", diff)
	}
	if got, want := p.NextRelease(web1), proto.Serial(4); got != want {
		t.Errorf("next release = %s, want %s", got, want)
	}
	if len(w.bus.audits) != 3 {
		t.Errorf("%d audit entries, want 3", len(w.bus.audits))
	}
}

func TestPublishWithoutBus(t *testing.T) {
	w := newWorld(t)
	p := w.open(t)
	w.mustPublish(t, p, w.toplevels[0])
	w.bus.down = true
	if got := w.mustPublish(t, p, w.toplevels[1]); got != 2 {
		t.Errorf("serial = %s, want 2", got)
	}
	if w.late != 1 {
		t.Errorf("heard %d times that something is late, want once", w.late)
	}
	if got := p.Unsynced(); got != 1 {
		t.Errorf("unsynced = %d, want 1", got)
	}
	if err := p.Sync(t.Context()); err == nil {
		t.Error("Sync without a bus returned nil")
	}
	w.bus.down = false
	if err := p.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.toplevels = w.toplevels[:2]
	w.check(t, "after the bus came back")
	if got := p.Unsynced(); got != 0 {
		t.Errorf("unsynced = %d, want 0", got)
	}
}

func TestSyncPutsAgainWhatWasWiped(t *testing.T) {
	w := newWorld(t)
	p := w.open(t)
	w.toplevels = w.toplevels[:1]
	w.mustPublish(t, p, w.toplevels[0])
	clear(w.bus.data)
	clear(w.bus.seqs)
	p.Forget()
	if err := p.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.check(t, "after NATS was wiped")
}

func TestSyncLiftsWhatWasRestoredFromYesterday(t *testing.T) {
	w := newWorld(t)
	p := w.open(t)
	w.mustPublish(t, p, w.toplevels[0])
	yesterday := w.bus.data[web1]
	w.mustPublish(t, p, w.toplevels[1])
	w.bus.data[web1], w.bus.seqs[web1], w.bus.history = yesterday, 77, nil
	p.Forget()
	if err := p.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.toplevels = w.toplevels[:2]
	w.check(t, "after NATS was restored from yesterday")
}

func TestSyncAdoptsWhatIsNewer(t *testing.T) {
	w := newWorld(t)
	p := w.open(t)
	w.mustPublish(t, p, w.toplevels[0])
	old := w.shelf.records[web1]
	w.mustPublish(t, p, w.toplevels[1])
	w.shelf.records[web1] = old // the disk was restored from a backup

	p = w.open(t)
	if err := p.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := w.shelf.records[web1].Target.Serial, proto.Serial(2); got != want {
		t.Errorf("serial on disk = %s, want %s", got, want)
	}
	if got := w.mustPublish(t, p, w.toplevels[2]); got != 3 {
		t.Errorf("next serial = %s, want 3", got)
	}
	w.check(t, "after adopting")
}

func TestPublishGoesAboveTheBusWhenTheFileIsGone(t *testing.T) {
	w := newWorld(t)
	p := w.open(t)
	w.mustPublish(t, p, w.toplevels[0])
	w.mustPublish(t, p, w.toplevels[1])
	clear(w.shelf.records) // the file was torn, and moved away

	p = w.open(t)
	if err := p.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.mustPublish(t, p, w.toplevels[2]); got != 3 {
		t.Errorf("serial = %s, want 3: above the bus's", got)
	}
	w.check(t, "after the file was gone")
}

func TestSyncOverwritesWhatIsNotOurs(t *testing.T) {
	w := newWorld(t)
	p := w.open(t)
	w.toplevels = w.toplevels[:1]
	w.mustPublish(t, p, w.toplevels[0])
	w.bus.data[web1], w.bus.seqs[web1] = []byte(`{"format":1}`), 99
	p.Forget()
	if err := p.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.check(t, "after somebody else wrote")
}

func TestPublishAboveAnotherController(t *testing.T) {
	w := newWorld(t)
	p := w.open(t)
	w.mustPublish(t, p, w.toplevels[0])
	w.bus.meanwhile = func() { // another controller with the same keys is quicker
		o := w.options()
		o.Shelf = &fakeShelf{faults: w.faults, records: map[proto.HostName]Record{}} // and a disk of its own
		other, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		w.mustPublish(t, other, w.toplevels[1])
		w.mustPublish(t, other, w.toplevels[0])
	}
	if got := w.mustPublish(t, p, w.toplevels[2]); got != 4 {
		t.Errorf("serial = %s, want 4: above the other's 2 and 3", got)
	}
	w.check(t, "after a conflict")
}

func TestPublishGivesUpWhenTwoControllersFight(t *testing.T) {
	w := newWorld(t)
	p := w.open(t)
	w.mustPublish(t, p, w.toplevels[0])
	other := w.open(t)
	var fight func()
	fight = func() {
		w.mustPublish(t, other, w.toplevels[1])
		w.bus.meanwhile = fight
	}
	w.bus.meanwhile = fight
	if _, err := p.Publish(t.Context(), "test", Order{Release: w.release(p, w.toplevels[2]), Mode: proto.ModeSwitch}); err == nil || !strings.Contains(err.Error(), "another controller") {
		t.Errorf("error = %v, want one that suspects another controller", err)
	}
}

func TestLookingWaitsForNoPublication(t *testing.T) {
	w := newWorld(t)
	p := w.open(t)
	w.mustPublish(t, p, w.toplevels[0])
	issued := w.shelf.records[web1].Issued
	asked := false
	w.bus.meanwhile = func() { // while the bus keeps a publication waiting
		asked = true
		if got := p.Unsynced(); got != 1 {
			t.Errorf("unsynced = %d, want 1", got)
		}
		if got := p.Oldest(); !got.After(issued) {
			t.Errorf("oldest = %s, want that of the new assignment, after %s", got, issued)
		}
	}
	w.mustPublish(t, p, w.toplevels[1])
	if !asked || p.Unsynced() != 0 {
		t.Errorf("asked = %t, unsynced = %d; want true, 0", asked, p.Unsynced())
	}
}

func TestPublishRefusesAForeignRelease(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	p := w.open(t)
	_, err := p.Publish(t.Context(), "test", Order{Release: other.release(p, w.toplevels[0]), Mode: proto.ModeSwitch})
	if !errors.Is(err, proto.ErrUnknownKey) && !errors.Is(err, proto.ErrBadSignature) {
		t.Errorf("error = %v, want one about the signature", err)
	}
	if len(w.shelf.records) != 0 || len(w.bus.data) != 0 {
		t.Error("something was published")
	}
}

func TestRenew(t *testing.T) {
	w := newWorld(t)
	p := w.open(t)
	w.mustPublish(t, p, w.toplevels[0])
	w.toplevels = w.toplevels[:1]
	before := w.shelf.records[web1]

	if err := p.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.shelf.records[web1].Issued; !got.Equal(before.Issued) && w.clock.Sub(before.Issued) < time.Minute {
		t.Fatal("the host's point in the interval is just now: take another name or clock for this test")
	}
	w.clock = w.clock.Add(proto.AssignmentRenewal)
	if err := p.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := w.shelf.records[web1]
	if after.Target != before.Target {
		t.Errorf("target = %+v, want %+v", after.Target, before.Target)
	}
	if !after.Issued.After(before.Issued) {
		t.Errorf("issued = %s, want later than %s", after.Issued, before.Issued)
	}
	if err := p.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.check(t, "after renewal")
}

func TestRenewHealsAClockThatWasAhead(t *testing.T) {
	w := newWorld(t)
	p := w.open(t)
	w.toplevels = w.toplevels[:1]
	right := w.clock
	w.clock = right.Add(365 * 24 * time.Hour)
	w.mustPublish(t, p, w.toplevels[0])
	w.clock = right
	if err := p.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.shelf.records[web1].Target.Serial; got != 2 {
		t.Errorf("serial = %s, want 2: hosts take an earlier date under a new one only", got)
	}
	if err := p.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.check(t, "after the clock was set right")
	if err := p.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.shelf.records[web1].Target.Serial; got != 2 {
		t.Errorf("serial = %s after another renewal, want 2 still", got)
	}
}

func TestDueSpreadsRenewals(t *testing.T) {
	start := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	const minutes = int(proto.AssignmentRenewal / time.Minute)
	perMinute := make([]int, minutes)
	const hosts = 3600
	for i := range hosts {
		name := mustHost("host-" + strconv.Itoa(i))
		for m := range minutes {
			if due(name, start, start.Add(time.Duration(m+1)*time.Minute)) {
				perMinute[m]++
				break
			}
		}
	}
	total, most := 0, 0
	for _, n := range perMinute {
		total += n
		most = max(most, n)
	}
	if total != hosts {
		t.Errorf("%d of %d hosts were due within one interval", total, hosts)
	}
	if mean := hosts / minutes; most > 5*mean {
		t.Errorf("%d renewals in one minute, want about %d", most, mean)
	}
}

func TestFiles(t *testing.T) {
	w := newWorld(t)
	dir := filepath.Join(t.TempDir(), "desired")
	o := w.options()
	o.Shelf = Files{Dir: dir}
	p, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	w.mustPublish(t, p, w.toplevels[0])

	if got, err := (Files{Dir: dir}).Toplevels(web1); err != nil || !slices.Equal(got, p.Toplevels(web1)) {
		t.Errorf("toplevels of web1 = %v, %v, want %v", got, err, p.Toplevels(web1))
	}
	records, err := Files{Dir: dir}.Load()
	if err != nil || len(records) != 1 {
		t.Fatalf("Load() = %d records, %v", len(records), err)
	}
	if got := records[0].Target.Toplevel; got != w.toplevels[0] {
		t.Errorf("toplevel = %s, want %s", got, w.toplevels[0])
	}
	info, err := os.Stat(filepath.Join(dir, "web1.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file = %v, %v; want mode 0600", info, err)
	}

	t.Run("a torn file stops the controller", func(t *testing.T) {
		if err := os.Truncate(filepath.Join(dir, "web1.json"), 20); err != nil {
			t.Fatal(err)
		}
		var corrupt *durable.CorruptError
		if _, err := (Files{Dir: dir}).Load(); !errors.As(err, &corrupt) {
			t.Errorf("error = %v, want a *durable.CorruptError", err)
		}
	})
	t.Run("a full disk publishes nothing", func(t *testing.T) {
		w.bus.history = nil
		full := o
		full.Shelf = brokenShelf{}
		p, err := Open(full)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Publish(context.WithoutCancel(t.Context()), "test", Order{Release: w.release(p, w.toplevels[1])}); !errors.Is(err, errCrash) {
			t.Errorf("error = %v, want the disk's", err)
		}
		if len(w.bus.history) != 0 {
			t.Error("something reached the bus")
		}
	})
}

// brokenShelf cannot save.
type brokenShelf struct{}

func (brokenShelf) Load() ([]Record, error)               { return nil, nil }
func (brokenShelf) Save(Record) error                     { return errCrash }
func (brokenShelf) Withdrawals() (*proto.Envelope, error) { return nil, nil }
func (brokenShelf) SaveWithdrawals(proto.Envelope) error  { return errCrash }
