package lease

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"kedge/proto"
	"kedge/proto/bus"
)

// fakeBus is one key that is compared and set, and fails as it is told.
type fakeBus struct {
	mu     sync.Mutex // guards what follows
	raw    bus.Raw
	before func() error // called with the lock before a write; its error is that of the write
	after  error        // of a write that was done
	reads  int
	writes int
}

func (f *fakeBus) GetControl(context.Context, string) (bus.Raw, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	return f.raw, nil
}

func (f *fakeBus) PutControl(_ context.Context, _ string, data []byte, last uint64) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.before != nil {
		if err := f.before(); err != nil {
			return 0, err
		}
	}
	if last != f.raw.Seq {
		return 0, bus.ErrConflict
	}
	f.writes++
	f.raw = bus.Raw{Data: data, Seq: f.raw.Seq + 1}
	return f.raw.Seq, f.after
}

func mustAcquire(t *testing.T, l *Ledger, name string, granted bool) Answer {
	t.Helper()
	a, err := l.Acquire(t.Context(), host(t, name), "1")
	if err != nil || a.Granted != granted {
		t.Fatalf("%s acquires: got %+v, %v, want granted %t", name, a, err, granted)
	}
	return a
}

func mustRelease(t *testing.T, l *Ledger, name string, held bool) {
	t.Helper()
	if h, got, err := l.Release(t.Context(), host(t, name)); err != nil || got != held || held && h.Host != host(t, name) {
		t.Fatalf("%s releases: got %+v, %t, %v, want held %t", name, h, got, err, held)
	}
}

func TestALedgerRemembersForEver(t *testing.T) {
	f := &fakeBus{}
	o := Options{Bus: f, Rules: Rules{Slots: 1}, Now: func() time.Time { return began }}
	if a := mustAcquire(t, NewLedger(o), "web1", true); !a.New || a.Held != 1 {
		t.Errorf("got %+v, want a new lease, the only one", a)
	}
	l := NewLedger(o) // of a controller that was started again
	if _, known := l.Known(); known {
		t.Error("a new ledger knows")
	}
	if a := mustAcquire(t, l, "web2", false); a.Held != 1 {
		t.Errorf("got %+v, want one that is held", a)
	}
	if a := mustAcquire(t, l, "web1", true); a.New {
		t.Error("the host had it already")
	}
	if holders, known := l.Known(); !known || len(holders) != 1 || holders[0].Host != host(t, "web1") {
		t.Errorf("known: %v, %t", holders, known)
	}
	writes := f.writes
	mustRelease(t, l, "web2", false)
	if f.writes != writes {
		t.Error("a release of nothing was written: every host does that at every start")
	}
	mustRelease(t, l, "web1", true)
	mustRelease(t, l, "web1", false)
	mustAcquire(t, l, "web2", true)
}

func TestALedgerThatWasOvertakenLooksAgain(t *testing.T) {
	f := &fakeBus{}
	l := NewLedger(Options{Bus: f, Rules: Rules{Slots: 1}})
	other, err := record{after(t, "web2", 0, 0)}.encode()
	if err != nil {
		t.Fatal(err)
	}
	f.before = func() error {
		f.before = nil
		f.raw = bus.Raw{Data: other, Seq: 7}
		return nil
	}
	mustAcquire(t, l, "web1", false)
	if f.writes != 0 {
		t.Error("what the other wrote was replaced")
	}
}

func TestALedgerThatIsAlwaysOvertakenGivesUp(t *testing.T) {
	f := &fakeBus{before: func() error { return bus.ErrConflict }}
	l := NewLedger(Options{Bus: f, Rules: Rules{Slots: 1}})
	if _, err := l.Acquire(t.Context(), host(t, "web1"), "1"); !errors.Is(err, bus.ErrConflict) {
		t.Errorf("got %v, want %v", err, bus.ErrConflict)
	}
}

func TestALedgerIsNotSureAfterAnError(t *testing.T) {
	f := &fakeBus{after: errors.New("bad luck")}
	l := NewLedger(Options{Bus: f, Rules: Rules{Slots: 1}})
	if _, err := l.Acquire(t.Context(), host(t, "web1"), "1"); !errors.Is(err, f.after) {
		t.Fatalf("got %v, want %v", err, f.after)
	}
	f.after = nil
	mustAcquire(t, l, "web2", false) // it was written
	mustAcquire(t, l, "web1", true)
}

// TestALedgerKnowsWhatItWroteItself hears of no write that is kept, once.
func TestALedgerKnowsWhatItWroteItself(t *testing.T) {
	f := &fakeBus{after: bus.ErrTimeout}
	l := NewLedger(Options{Bus: f, Rules: Rules{Slots: 1}})
	if a := mustAcquire(t, l, "web1", true); !a.New || f.writes != 1 {
		t.Errorf("got %+v after %d writes, want a new lease after one", a, f.writes)
	}
	if holders, known := l.Known(); !known || len(holders) != 1 {
		t.Errorf("known: %v, %t", holders, known)
	}
	mustRelease(t, l, "web1", true)
}

// TestALedgerDoesNotTakeAnothersWriteForItsOwn: of two who give back the same lease one
// had it.
func TestALedgerDoesNotTakeAnothersWriteForItsOwn(t *testing.T) {
	f := &fakeBus{}
	l := NewLedger(Options{Bus: f, Rules: Rules{Slots: 1}})
	mustAcquire(t, l, "web1", true)
	gone, err := record{}.encode() // just as l would write it
	if err != nil {
		t.Fatal(err)
	}
	f.before = func() error {
		f.before = nil
		f.raw = bus.Raw{Data: gone, Seq: f.raw.Seq + 1}
		return nil
	}
	mustRelease(t, l, "web1", false)
}

func TestALedgerTriesAgainWhatNobodyHeardOf(t *testing.T) {
	f := &fakeBus{}
	f.before = func() error {
		f.before = nil
		return bus.ErrTimeout
	}
	if a := mustAcquire(t, NewLedger(Options{Bus: f, Rules: Rules{Slots: 1}}), "web1", true); !a.New || f.writes != 1 {
		t.Errorf("got %+v after %d writes, want a new lease after one", a, f.writes)
	}
	f.before = func() error { return bus.ErrTimeout }
	if _, _, err := NewLedger(Options{Bus: f, Rules: Rules{Slots: 1}}).Release(t.Context(), host(t, "web1")); !errors.Is(err, bus.ErrTimeout) {
		t.Errorf("when nobody ever answers: %v, want %v", err, bus.ErrTimeout)
	}
}

func TestALedgerGivesNothingOutOfWhatItCannotRead(t *testing.T) {
	for name, data := range map[string]string{
		"a newer format": `{"format":2}`, "no JSON": `{"form`, "a lease of nobody": `{"format":1,"holders":[{}]}`,
	} {
		f := &fakeBus{raw: bus.Raw{Data: []byte(data), Seq: 3}}
		l := NewLedger(Options{Bus: f, Rules: Rules{Slots: 9}})
		for what, err := range map[string]error{
			"acquire": func() error { _, err := l.Acquire(t.Context(), host(t, "web1"), "1"); return err }(),
			"release": func() error { _, _, err := l.Release(t.Context(), host(t, "web1")); return err }(),
			"list":    func() error { _, err := l.Holders(t.Context()); return err }(),
		} {
			if err == nil || !strings.Contains(err.Error(), "delete the key reboot-leases of the bucket kedge-control") {
				t.Errorf("%s, %s: got %v, want an error that says what to do", name, what, err)
			}
		}
		if f.writes != 0 {
			t.Errorf("%s: it was overwritten", name)
		}
	}
}

func TestWhoWaitsForTheLedgerMayGiveUp(t *testing.T) {
	f := &fakeBus{}
	l := NewLedger(Options{Bus: f, Rules: Rules{Slots: 1}})
	l.turn <- struct{}{}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(bus.ErrTimeout)
	if _, err := l.Acquire(ctx, host(t, "web1"), "1"); !errors.Is(err, bus.ErrTimeout) {
		t.Errorf("got %v, want %v", err, bus.ErrTimeout)
	}
	<-l.turn
	if f.reads != 0 {
		t.Error("it was carried out")
	}
}

// Several ledgers on one bus, as of several controllers, with many hosts that come
// and go.
func TestLedgersTogetherGiveOutNoMoreThanOne(t *testing.T) {
	const slots, hosts, rounds = 3, 12, 20
	f := &fakeBus{}
	var ledgers []*Ledger
	for range 3 {
		ledgers = append(ledgers, NewLedger(Options{Bus: f, Rules: Rules{Slots: slots}}))
	}
	var mu sync.Mutex
	rebooting, most, grants := map[proto.HostName]bool{}, 0, 0
	note := func(h proto.HostName, up bool) {
		mu.Lock()
		defer mu.Unlock()
		if rebooting[h] = up; !up {
			delete(rebooting, h)
		} else {
			grants++
		}
		most = max(most, len(rebooting))
	}
	var all sync.WaitGroup
	for i := range hosts {
		h := host(t, fmt.Sprintf("web%d", i))
		all.Go(func() {
			for round := range rounds {
				a, err := ledgers[(i+round)%len(ledgers)].Acquire(t.Context(), h, "1")
				if err != nil {
					t.Error(err)
					return
				}
				if !a.Granted {
					continue
				}
				note(h, true)
				note(h, false) // before it is given back
				if _, held, err := ledgers[(i+round+1)%len(ledgers)].Release(t.Context(), h); err != nil || !held {
					t.Errorf("%s had a lease and gives it back: %t, %v", h, held, err)
				}
			}
		})
	}
	all.Wait()
	if most > slots || grants == 0 {
		t.Errorf("%d leases were given out, up to %d at a time, want at most %d", grants, most, slots)
	}
	if h, err := ledgers[0].Holders(t.Context()); err != nil || len(h) != 0 {
		t.Errorf("in the end: %v, %v, want none", h, err)
	}
}
