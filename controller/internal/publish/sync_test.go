package publish

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kedge/proto"
	"kedge/proto/bus"
)

// fleetBus is a Bus for many hosts that holds nothing and stores whatever put
// lets through.
type fleetBus struct {
	put func(ctx context.Context, host proto.HostName) error

	mu   sync.Mutex // guards puts
	puts map[string]int
}

func (b *fleetBus) PutDesired(ctx context.Context, host proto.HostName, _ []byte, _ uint64) (uint64, error) {
	b.mu.Lock()
	b.puts[host.String()]++
	b.mu.Unlock()
	return 1, b.put(ctx, host)
}

func (b *fleetBus) GetDesired(context.Context, proto.HostName) (bus.Raw, error) {
	return bus.Raw{}, bus.ErrNoDesired
}

func (b *fleetBus) DesiredHosts(context.Context) ([]proto.HostName, error) { return nil, nil }

func (b *fleetBus) Audit(context.Context, proto.AuditEntry) error { return nil }

// openFleet returns the publisher of n hosts, none of which is on the bus yet.
func openFleet(t *testing.T, n int, put func(context.Context, proto.HostName) error) (*Publisher, *fleetBus) {
	t.Helper()
	w := newWorld(t)
	w.bus.down = true
	p := w.open(t)
	for i := range n {
		e, err := w.signer.Release(proto.Release{
			Host: mustHost(fmt.Sprintf("h%03d", i)), Serial: 1, Toplevel: w.toplevels[0], Closure: proto.DigestOf(nil),
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Publish(t.Context(), "test", Order{Release: e, Mode: proto.ModeSwitch}); err != nil {
			t.Fatal(err)
		}
	}
	b := &fleetBus{put: put, puts: map[string]int{}}
	o := w.options()
	o.Bus = b
	p, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return p, b
}

func TestSyncGoesSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		waiting, together := 0, make(chan struct{})
		p, _ := openFleet(t, 2*syncAtOnce, func(context.Context, proto.HostName) error {
			mu.Lock()
			if waiting++; waiting == syncAtOnce {
				close(together)
			}
			mu.Unlock()
			<-together
			return nil
		})
		if err := p.Sync(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestSyncGoesOnWhereItEnded(t *testing.T) {
	const hosts = 100
	ctx, stop := context.WithCancel(t.Context())
	var mu sync.Mutex
	n := 0
	p, b := openFleet(t, hosts, func(context.Context, proto.HostName) error {
		mu.Lock()
		defer mu.Unlock()
		if n++; n == hosts/2 {
			stop()
		}
		return nil
	})
	if err := p.Sync(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want %v", err, context.Canceled)
	}
	if got := p.Unsynced(); got == 0 || got > hosts/2 {
		t.Errorf("%d of %d hosts are not in step, want at most half of them, and some", got, hosts)
	}
	if err := p.Sync(t.Context()); err != nil || p.Unsynced() != 0 {
		t.Errorf("Sync = %v, %d not in step, want all of them", err, p.Unsynced())
	}
	for host, puts := range b.puts {
		if puts != 1 {
			t.Errorf("%s was put %d times", host, puts)
		}
	}
}

func TestAHostThatGetsNoAnswerHoldsUpNoOther(t *testing.T) {
	p, _ := openFleet(t, 100, func(_ context.Context, host proto.HostName) error {
		if host == mustHost("h000") {
			return bus.ErrTimeout
		}
		return nil
	})
	err := p.Sync(t.Context())
	if !errors.Is(err, bus.ErrTimeout) || !strings.Contains(err.Error(), "h000") {
		t.Errorf("error = %v, want one that names the host", err)
	}
	if got := p.Unsynced(); got != 1 {
		t.Errorf("%d hosts are not in step, want 1", got)
	}
}

func TestSyncGivesUpWhenNobodyAnswers(t *testing.T) {
	p, b := openFleet(t, 100, func(context.Context, proto.HostName) error { return bus.ErrNoResponders })
	err := p.Sync(t.Context())
	if !errors.Is(err, bus.ErrNoResponders) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error = %q, want one for all", err)
	}
	if got := len(b.puts); got < syncAtOnce || got > 2*syncAtOnce {
		t.Errorf("tried %d hosts, want about %d", got, syncAtOnce)
	}
}

func TestRenewWaitsForNoBus(t *testing.T) {
	w := newWorld(t)
	p := w.open(t)
	w.mustPublish(t, p, w.toplevels[0])
	before := w.shelf.records[web1].Issued
	w.bus.meanwhile = func() { t.Error("the bus was called") }
	w.clock = w.clock.Add(proto.AssignmentRenewal)
	if err := p.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.shelf.records[web1].Issued; !got.After(before) {
		t.Errorf("issued = %s, want later than %s", got, before)
	}
	if got := p.Unsynced(); got != 1 {
		t.Errorf("unsynced = %d, want 1", got)
	}
}

func TestABusThatNeverAnswersIsNotWaitedForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := openFleet(t, 1, func(ctx context.Context, _ proto.HostName) error {
			<-ctx.Done()
			return context.Cause(ctx)
		})
		start := time.Now()
		if err := p.Sync(t.Context()); !errors.Is(err, bus.ErrTimeout) {
			t.Errorf("error = %v, want %v", err, bus.ErrTimeout)
		}
		if took := time.Since(start); took > busTimeout {
			t.Errorf("waited %s, want at most %s", took, busTimeout)
		}
	})
}
