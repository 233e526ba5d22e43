package publish

import (
	"errors"
	"testing"
	"time"

	"kedge/proto"
)

// A reset lets a host accept again, from what is assigned now; it stays for a day,
// over new assignments and a restart, for a host that reads late.
func TestReset(t *testing.T) {
	w := newWorld(t)
	p := w.open(t)
	lost := proto.Floor{Challenge: "lost"}
	if _, err := p.Reset(t.Context(), "test", web1, "lost", nil); !errors.Is(err, ErrNothing) {
		t.Errorf("reset a host that was never assigned anything: got error %v, want %v", err, ErrNothing)
	}
	bad := w.ciRelease(t, 1, w.toplevels[2])
	if _, _, err := p.Withdraw(t.Context(), "test", w.list(t, 5, bad)); err != nil {
		t.Fatal(err)
	}
	w.mustPublish(t, p, w.toplevels[0])
	if _, err := w.onBus(t, lost, w.trust()); err == nil || proto.RefusalOf(err).Reason != proto.ReasonFloorsLost {
		t.Errorf("before the reset: got error %v, want %s", err, proto.ReasonFloorsLost)
	}
	for name, r := range map[string]proto.Reset{
		"another challenge":   {Host: web1, Challenge: "other", Issued: w.clock, Serial: 1},
		"another host":        {Host: mustHost("web2"), Challenge: "lost", Issued: w.clock, Serial: 1},
		"a serial to come":    {Host: web1, Challenge: "lost", Issued: w.clock, Serial: 2},
		"withdrawals to come": {Host: web1, Challenge: "lost", Issued: w.clock, Serial: 1, WithdrawalSerial: 6},
	} {
		e, err := r.Sign(w.spare)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Reset(t.Context(), "test", web1, "lost", &e); !errors.Is(err, ErrNotWaitedFor) && !errors.Is(err, ErrTooFar) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
	if serial, err := p.Reset(t.Context(), "test", web1, "lost", nil); err != nil || serial != 1 {
		t.Fatalf("reset: serial %s, error %v", serial, err)
	}
	accepts := func(when string) {
		t.Helper()
		order, err := w.onBus(t, lost, w.trust())
		if err != nil || order.Floor.Challenge != "" || order.Floor.WithdrawalSerial != 5 {
			t.Errorf("%s: got floor %+v, error %v", when, order.Floor, err)
		}
	}
	accepts("after the reset")
	w.mustPublish(t, p, w.toplevels[1])
	accepts("after the next assignment")
	p = w.open(t)
	w.clock = w.clock.Add(proto.AssignmentRenewal + time.Minute)
	mustRenew(t, p)
	accepts("after a renewal")
	w.clock = w.clock.Add(proto.AssignmentLifetime)
	mustRenew(t, p)
	if d, err := proto.ParseDesired(w.bus.data[web1]); err != nil || d.Reset != nil {
		t.Errorf("after a day: the reset is %v, error %v; want none", d.Reset, err)
	}
}

// A controller that was restored from a backup resets a host from what the bus says
// by now, and one whose bus another one writes to does not lose the reset.
func TestResetBesideWhatIsNewer(t *testing.T) {
	for name, c := range map[string]struct {
		sync   bool // before the newer one comes
		serial proto.Serial
	}{
		"restored from a backup": {serial: 2},
		"another controller":     {sync: true, serial: 3},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.open(t)
			w.mustPublish(t, p, w.toplevels[0])
			backup, newer := w.shelf.records[web1], p
			if c.sync {
				newer = w.open(t)
			}
			w.mustPublish(t, newer, w.toplevels[1])
			w.shelf.records[web1] = backup
			if !c.sync {
				p = w.open(t)
			}
			serial, err := p.Reset(t.Context(), "test", web1, "lost", nil)
			if err != nil || serial != c.serial {
				t.Fatalf("reset: serial %s, error %v; want %s", serial, err, c.serial)
			}
			order, err := w.onBus(t, proto.Floor{Challenge: "lost"}, w.trust())
			if err != nil || order.Assignment.Serial != c.serial || order.Floor.Challenge != "" {
				t.Errorf("got assignment %s, floor %+v, error %v", order.Assignment.Serial, order.Floor, err)
			}
		})
	}
}

// A controller that lost its disk, or goes on from a backup, does not take back the reset
// that it finds on the bus.
func TestAResetOnTheBusIsAdopted(t *testing.T) {
	for _, lost := range []string{"the disk", "the last hour"} {
		t.Run(lost, func(t *testing.T) {
			w := newWorld(t)
			p := w.open(t)
			w.mustPublish(t, p, w.toplevels[0])
			backup := w.shelf.records[web1]
			if _, err := p.Reset(t.Context(), "test", web1, "lost", nil); err != nil {
				t.Fatal(err)
			}
			p = w.forget(t)
			if lost != "the disk" {
				w.shelf.records[web1] = backup
				p = w.open(t)
			}
			if err := p.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.clock = w.clock.Add(proto.AssignmentRenewal + time.Minute)
			mustRenew(t, p)
			order, err := w.onBus(t, proto.Floor{Challenge: "lost"}, w.trust())
			if err != nil || order.Floor.Challenge != "" {
				t.Errorf("after a renewal: got floor %+v, error %v", order.Floor, err)
			}
			w.clock = w.clock.Add(proto.AssignmentLifetime)
			mustRenew(t, p)
			if d, err := proto.ParseDesired(w.bus.data[web1]); err != nil || d.Reset != nil {
				t.Errorf("after a day: the reset is %v, error %v; want none", d.Reset, err)
			}
		})
	}
}

// What somebody else put into a desired state of ours is no reset.
func TestAForeignResetIsNotAdopted(t *testing.T) {
	for name, r := range map[string]struct {
		host string
		by   func(w *world) proto.SecretKey
	}{
		"of another key":   {"web1", func(w *world) proto.SecretKey { return w.ci }},
		"for another host": {"web2", func(w *world) proto.SecretKey { return w.spare }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.open(t)
			w.mustPublish(t, p, w.toplevels[0])
			d, err := proto.ParseDesired(w.bus.data[web1])
			if err != nil {
				t.Fatal(err)
			}
			e, err := proto.Reset{Host: mustHost(r.host), Challenge: "lost", Issued: w.clock, Serial: 1}.Sign(r.by(w))
			if err != nil {
				t.Fatal(err)
			}
			d.Reset = &e
			if w.bus.data[web1], err = d.Encode(); err != nil {
				t.Fatal(err)
			}
			p = w.forget(t)
			if err := p.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := w.shelf.records[web1]; got.Desired.Reset != nil || !got.Reset.IsZero() {
				t.Errorf("adopted: %v, of %s", got.Desired.Reset, got.Reset)
			}
		})
	}
}
