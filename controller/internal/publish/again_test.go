package publish

import (
	"errors"
	"slices"
	"testing"
	"time"

	"kedge/proto"
)

// A list of withdrawals that was taken is taken again, since answers get lost, and what
// came with it may have failed.
func TestAListIsPublishedAgain(t *testing.T) {
	for name, meanwhile := range map[string]func(t *testing.T, w *world, p *Publisher) *Publisher{
		"at once":           func(_ *testing.T, _ *world, p *Publisher) *Publisher { return p },
		"when it is signed": func(t *testing.T, _ *world, p *Publisher) *Publisher { t.Helper(); mustRenew(t, p); return p },
		"after a restart":   func(t *testing.T, w *world, _ *Publisher) *Publisher { t.Helper(); return w.open(t) },
		"by who found it on the bus": func(t *testing.T, w *world, p *Publisher) *Publisher {
			t.Helper()
			mustRenew(t, p)
			w.shelf.withdrawals = nil
			p = w.open(t)
			if err := p.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			return p
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.open(t)
			bad, other := w.ciRelease(t, 1, w.toplevels[0]), w.ciRelease(t, 2, w.toplevels[1])
			if _, err := p.Publish(t.Context(), "test", Order{Release: bad}); err != nil {
				t.Fatal(err)
			}
			list := w.list(t, 5, bad)
			if _, _, err := p.Withdraw(t.Context(), "test", list); err != nil {
				t.Fatal(err)
			}
			p = meanwhile(t, w, p)
			before, audits := p.Withdrawals(), len(w.bus.audits)
			what, hosts, err := p.Withdraw(t.Context(), "test", list)
			if err != nil || what.Serial != 5 || !slices.Equal(hosts, []proto.HostName{web1}) {
				t.Errorf("again: list %s, hosts %v, error %v; want 5, web1 and none", what.Serial, hosts, err)
			}
			if after := p.Withdrawals(); after != before || len(w.bus.audits) != audits {
				t.Errorf("%d audit entries after %d, list %v after %v; want all as it was", len(w.bus.audits), audits, after, before)
			}
			for name, c := range map[string]struct {
				list proto.Envelope
				want error
			}{
				"an older one":                 {w.list(t, 4, bad, other), ErrOlder},
				"another one under the serial": {w.list(t, 5, bad, other), ErrUsed},
				"the same that nobody signed":  {proto.Seal(proto.PayloadWithdrawals, list.Payload), proto.ErrUnknownKey},
			} {
				if _, _, err := p.Withdraw(t.Context(), "test", c.list); !errors.Is(err, c.want) || p.Withdrawals() != before {
					t.Errorf("%s: got error %v, list %v; want %v, and the list as it was", name, err, p.Withdrawals(), c.want)
				}
			}
		})
	}
}

// So is what a spare key assigned, under its serial, as long as it is what the host is
// to run.
func TestASpareAssignmentIsPublishedAgain(t *testing.T) {
	for name, meanwhile := range map[string]func(t *testing.T, w *world, p *Publisher) *Publisher{
		"at once":         func(_ *testing.T, _ *world, p *Publisher) *Publisher { return p },
		"after a restart": func(t *testing.T, w *world, _ *Publisher) *Publisher { t.Helper(); return w.open(t) },
		"when the bus was wiped": func(_ *testing.T, w *world, p *Publisher) *Publisher {
			delete(w.bus.data, web1)
			delete(w.bus.seqs, web1)
			p.Forget()
			return p
		},
		"by who has yet to find it on the bus": func(t *testing.T, w *world, _ *Publisher) *Publisher { t.Helper(); return w.forget(t) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.open(t)
			other := w.ciRelease(t, 51, w.toplevels[2])
			w.toplevels = w.toplevels[:2]
			w.mustPublish(t, p, w.toplevels[0])
			release := w.ciRelease(t, 50, w.toplevels[1])
			o := Order{Release: release, Newer: true, Assignment: w.spareAssignment(t, release, 10)}
			if _, err := p.Publish(t.Context(), "test", o); err != nil {
				t.Fatal(err)
			}
			audits := len(w.bus.audits)
			p = meanwhile(t, w, p)
			w.mustTake(t, p, o)
			serial, err := p.Publish(t.Context(), "test", o)
			if err != nil || serial != 10 || len(w.bus.audits) != audits || p.Unsynced() != 0 {
				t.Errorf("again: serial %s, %d audit entries after %d, %d out of step, error %v; want 10, and no more of them",
					serial, len(w.bus.audits), audits, p.Unsynced(), err)
			}
			w.check(t, "afterwards")

			for name, c := range map[string]struct {
				order Order
				want  error
			}{
				"an older one":                 {Order{Release: other, Assignment: w.spareAssignment(t, other, 9)}, ErrOlder},
				"another one under the serial": {Order{Release: other, Assignment: w.spareAssignment(t, other, 10)}, ErrUsed},
				"it with another release":      {Order{Release: other, Assignment: o.Assignment}, proto.ErrMalformed},
				"it, signed by nobody": {Order{Release: release, Assignment: &proto.Envelope{
					PayloadType: proto.PayloadAssignment, Payload: o.Assignment.Payload,
				}}, proto.ErrUnknownKey},
			} {
				before := w.want
				if _, err := p.Publish(t.Context(), "test", c.order); !errors.Is(err, c.want) || w.want != before {
					t.Errorf("%s: got error %v, target %+v; want %v, and %+v", name, err, w.want, c.want, before)
				}
			}
			w.mustPublish(t, p, w.toplevels[0])
			if _, err := p.Publish(t.Context(), "test", o); !errors.Is(err, ErrOlder) {
				t.Errorf("once something else was published: got error %v, want %v", err, ErrOlder)
			}
		})
	}
}

// What must not be assigned any more is not published again either.
func TestASpareAssignmentThatIsOverIsNotPublishedAgain(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, w *world, p *Publisher, release proto.Envelope){
		"it expired": func(_ *testing.T, w *world, _ *Publisher, _ proto.Envelope) { w.clock = w.clock.Add(73 * time.Hour) },
		"it was signed anew": func(t *testing.T, w *world, p *Publisher, _ proto.Envelope) {
			t.Helper()
			w.clock = w.clock.Add(73 * time.Hour)
			mustRenew(t, p)
		},
		"its release was withdrawn": func(t *testing.T, w *world, p *Publisher, release proto.Envelope) {
			t.Helper()
			if _, _, err := p.Withdraw(t.Context(), "test", w.list(t, 5, release)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.open(t)
			release := w.ciRelease(t, 50, w.toplevels[1])
			o := Order{Release: release, Newer: true, Assignment: w.spareAssignment(t, release, 10)}
			if _, err := p.Publish(t.Context(), "test", o); err != nil {
				t.Fatal(err)
			}
			end(t, w, p, release)
			seq := w.bus.seq
			if serial, err := p.Publish(t.Context(), "test", o); err == nil || w.bus.seq != seq {
				t.Errorf("it was published again, as %s", serial)
			}
		})
	}
}

// spareAssignment signs, with the spare key, that web1 shall run a release for three days.
func (w *world) spareAssignment(t *testing.T, release proto.Envelope, serial proto.Serial) *proto.Envelope {
	t.Helper()
	e, err := proto.Assignment{
		Host: web1, Serial: serial, Issued: w.clock, Expires: w.clock.Add(72 * time.Hour), Release: proto.DigestOf(release.Payload),
	}.Sign(w.spare)
	if err != nil {
		t.Fatal(err)
	}
	return &e
}

// mustTake requires that o can be published, as far as is known before it is.
func (w *world) mustTake(t *testing.T, p *Publisher, o Order) {
	t.Helper()
	r, err := w.signer.OpenRelease(o.Release)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Takes(r, o); err != nil {
		t.Errorf("it is not taken: %v", err)
	}
}
