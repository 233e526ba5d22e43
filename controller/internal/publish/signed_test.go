package publish

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"kedge/controller/internal/sign"
	"kedge/proto"
)

// ciRelease signs a release for web1, elsewhere.
func (w *world) ciRelease(t *testing.T, serial proto.Serial, toplevel proto.StorePath, keys ...proto.SecretKey) proto.Envelope {
	t.Helper()
	if len(keys) == 0 {
		keys = []proto.SecretKey{w.ci}
	}
	e, err := proto.Release{Host: web1, Serial: serial, Toplevel: toplevel, Closure: proto.DigestOf(nil)}.Sign(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (w *world) list(t *testing.T, serial proto.Serial, releases ...proto.Envelope) proto.Envelope {
	t.Helper()
	l := proto.Withdrawals{Serial: serial, Issued: w.clock}
	for _, r := range releases {
		l.Releases = append(l.Releases, proto.DigestOf(r.Payload))
	}
	e, err := l.Sign(w.ci)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// onBus verifies what web1 reads, as web1 would that has the floor.
func (w *world) onBus(t *testing.T, floor proto.Floor, trust proto.Trust) (proto.Order, error) {
	t.Helper()
	d, err := proto.ParseDesired(w.bus.data[web1])
	if err != nil {
		t.Fatal(err)
	}
	return d.Verify(trust, web1, floor, w.clock)
}

func mustRenew(t *testing.T, p *Publisher) {
	t.Helper()
	if err := errors.Join(p.Renew(t.Context()), p.Sync(t.Context())); err != nil {
		t.Fatal(err)
	}
}

func TestSerialsOfReleasesGoUp(t *testing.T) {
	w := newWorld(t)
	p := w.open(t)
	old, newer := w.ciRelease(t, 100, w.toplevels[0]), w.ciRelease(t, 200, w.toplevels[1])
	for _, step := range []struct {
		name  string
		order Order
		want  error
	}{
		{"the first", Order{Release: old, Newer: true}, nil},
		{"a newer one", Order{Release: newer, Newer: true}, nil},
		{"the same again, with another signature", Order{Release: newer.Countersign(newKey(t, "other")), Newer: true}, nil},
		{"an older one", Order{Release: old, Newer: true}, ErrOlder},
		{"another one with the same serial", Order{Release: w.ciRelease(t, 200, w.toplevels[2]), Newer: true}, ErrUsed},
		{"an older one, on purpose", Order{Release: old}, nil},
		{"one between the two", Order{Release: w.ciRelease(t, 150, w.toplevels[2]), Newer: true}, ErrOlder},
		{"one too far ahead", Order{Release: w.ciRelease(t, 201+proto.MaxSerialJump, w.toplevels[2]), Newer: true}, ErrTooFar},
		{"the first one after what was gone back from", Order{Release: w.ciRelease(t, 201, w.toplevels[2]), Newer: true}, nil},
	} {
		before := w.want
		if _, err := p.Publish(t.Context(), "test", step.order); !errors.Is(err, step.want) {
			t.Errorf("%s: got error %v, want %v", step.name, err, step.want)
		}
		if step.want == nil && w.want.Serial != before.Serial+1 || step.want != nil && w.want != before {
			t.Errorf("%s: assigned %+v after %+v", step.name, w.want, before)
		}
	}
}

// What was withdrawn is told to every host at once, stays so over a restart, and is
// never assigned again.
func TestWithdraw(t *testing.T) {
	w := newWorld(t)
	p := w.open(t)
	bad, good := w.ciRelease(t, 1, w.toplevels[0]), w.ciRelease(t, 2, w.toplevels[1])
	if _, err := p.Publish(t.Context(), "test", Order{Release: bad}); err != nil {
		t.Fatal(err)
	}
	_, hosts, err := p.Withdraw(t.Context(), "test", w.list(t, 5, bad))
	if err != nil || !slices.Equal(hosts, []proto.HostName{web1}) {
		t.Fatalf("withdraw: hosts %v, error %v; want web1", hosts, err)
	}
	before := w.bus.seq
	mustRenew(t, p)
	if order, err := w.onBus(t, proto.Floor{}, w.trust()); proto.RefusalOf(err).Reason != proto.ReasonWithdrawn || order.Floor.WithdrawalSerial != 5 {
		t.Errorf("what was withdrawn: got %+v, error %v, want %s", order.Floor, err, proto.ReasonWithdrawn)
	}
	mustRenew(t, p)
	if w.bus.seq != before+1 {
		t.Errorf("put %d times, want once", w.bus.seq-before)
	}
	for _, c := range []struct {
		name string
		list proto.Envelope
		want error
	}{
		{"with an old serial", w.list(t, 4, bad, good), ErrOlder},
		{"with a serial too far ahead", w.list(t, 6+proto.MaxSerialJump, bad), ErrTooFar},
		{"that lacks what was withdrawn", w.list(t, 6, good), ErrForgets},
		{"that nobody signed", proto.Seal(proto.PayloadWithdrawals, w.list(t, 6, bad).Payload), proto.ErrUnknownKey},
		{"that a controller key signed", proto.Seal(proto.PayloadWithdrawals, w.list(t, 6, bad).Payload, w.spare), proto.ErrUnknownKey},
	} {
		if _, _, err := p.Withdraw(t.Context(), "test", c.list); !errors.Is(err, c.want) {
			t.Errorf("a list %s: got error %v, want %v", c.name, err, c.want)
		}
	}
	p = w.open(t)
	if _, err := p.Publish(t.Context(), "test", Order{Release: bad}); !errors.Is(err, ErrWithdrawn) {
		t.Errorf("assign what was withdrawn: got error %v, want %v", err, ErrWithdrawn)
	}
	if _, err := p.Publish(t.Context(), "test", Order{Release: good}); err != nil {
		t.Fatal(err)
	}
	if order, err := w.onBus(t, proto.Floor{}, w.trust()); err != nil || order.Floor.WithdrawalSerial != 5 {
		t.Errorf("what came after: got %+v, error %v, want it accepted, with the list", order.Floor, err)
	}
}

// A controller whose disk was restored from a backup learns from the bus what it
// withdrew since.
func TestWithdrawalsOnTheBusAreAdopted(t *testing.T) {
	w := newWorld(t)
	p := w.open(t)
	bad := w.ciRelease(t, 1, w.toplevels[0])
	if _, err := p.Publish(t.Context(), "test", Order{Release: bad}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.Withdraw(t.Context(), "test", w.list(t, 5, bad)); err != nil {
		t.Fatal(err)
	}
	mustRenew(t, p)
	w.shelf.withdrawals = nil
	p = w.open(t)
	if err := p.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w.shelf.withdrawals == nil {
		t.Error("the list on the bus was not adopted")
	}
	if _, err := p.Publish(t.Context(), "test", Order{Release: bad}); !errors.Is(err, ErrWithdrawn) {
		t.Errorf("assign what was withdrawn: got error %v, want %v", err, ErrWithdrawn)
	}
}

// A key that was added signs what is assigned at once, and hosts that know only one
// of the keys go on.
func TestANewKeySignsWhatIsAssigned(t *testing.T) {
	w := newWorld(t)
	p := w.open(t)
	w.mustPublish(t, p, w.toplevels[0])
	old := w.trust()
	var next proto.Trust
	for _, role := range []sign.Role{sign.Release, sign.Controller} {
		key, err := w.signer.Add(role)
		if err != nil {
			t.Fatal(err)
		}
		if role == sign.Release {
			next.ReleaseKeys = []proto.PublicKey{key}
		} else {
			next.ControllerKeys = []proto.PublicKey{key}
		}
	}
	bad := w.ciRelease(t, 1, w.toplevels[2])
	if _, _, err := p.Withdraw(t.Context(), "test", w.list(t, 5, bad)); err != nil {
		t.Fatal(err)
	}
	target := w.want
	mustRenew(t, p)
	for name, trust := range map[string]proto.Trust{"old": old, "next": next} {
		order, err := w.onBus(t, proto.Floor{}, trust)
		if err != nil || order.Assignment.Serial != target.Serial || order.Floor.WithdrawalSerial != 5 {
			t.Errorf("a host that trusts the %s keys: got serial %s, floor %+v, error %v", name, order.Assignment.Serial, order.Floor, err)
		}
	}
	seq := w.bus.seq
	mustRenew(t, p)
	if w.bus.seq != seq {
		t.Error("signed anew though all keys had signed")
	}
	for _, k := range slices.Concat(old.ReleaseKeys[:1], old.ControllerKeys[:1]) {
		if err := w.signer.Retire(k.Name()); err != nil {
			t.Fatal(err)
		}
	}
	p = w.open(t)
	if err := p.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.mustPublish(t, p, w.toplevels[1])
	if _, err := w.onBus(t, proto.Floor{}, next); err != nil {
		t.Errorf("after the rotation: %v", err)
	}
}

// A key may be added and another one retired in the very second in which something was
// assigned: no clock is to blame for that.
func TestKeysAreReplacedInTheSecondOfAnAssignment(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	o.Now = func() time.Time { return w.clock }
	p, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	w.mustPublish(t, p, w.toplevels[0])
	old := w.trust()
	key, err := w.signer.Add(sign.Controller)
	if err != nil {
		t.Fatal(err)
	}
	next := proto.Trust{ReleaseKeys: old.ReleaseKeys, ControllerKeys: []proto.PublicKey{key}}
	if err := p.Renew(t.Context()); err != nil {
		t.Fatalf("sign with the next key, too: %v", err)
	}
	if err := w.signer.Retire(old.ControllerKeys[0].Name()); err != nil {
		t.Fatal(err)
	}
	if err := p.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	accepted, err := w.onBus(t, proto.Floor{}, old)
	if err != nil {
		t.Errorf("a host that trusts the old key: %v", err)
	}
	if _, err := w.onBus(t, accepted.Floor, next); err != nil {
		t.Errorf("a host that trusts the next one: %v", err)
	}
}

// What the spare key assigned is published as it is, and kept until it expires.
func TestSpareAssignment(t *testing.T) {
	w := newWorld(t)
	p := w.open(t)
	w.mustPublish(t, p, w.toplevels[0])
	only := proto.Trust{ReleaseKeys: []proto.PublicKey{w.ci.Public()}, ControllerKeys: []proto.PublicKey{w.spare.Public()}}
	release := w.ciRelease(t, 50, w.toplevels[1])
	assign := func(change func(a *proto.Assignment)) *proto.Envelope {
		a := proto.Assignment{
			Host: web1, Serial: 10, Issued: w.clock, Expires: w.clock.Add(72 * time.Hour), Release: proto.DigestOf(release.Payload),
		}
		change(&a)
		e, err := a.Sign(w.spare)
		if err != nil {
			t.Fatal(err)
		}
		return &e
	}
	for name, change := range map[string]func(a *proto.Assignment){
		"another host":         func(a *proto.Assignment) { a.Host = mustHost("web2") },
		"another release":      func(a *proto.Assignment) { a.Release = proto.DigestOf(nil) },
		"a serial used before": func(a *proto.Assignment) { a.Serial = 1 },
		"a serial too far":     func(a *proto.Assignment) { a.Serial = 2 + proto.MaxSerialJump },
		"what has long expired": func(a *proto.Assignment) {
			a.Issued, a.Expires = a.Issued.AddDate(0, 0, -2), a.Issued.AddDate(0, 0, -1)
		},
	} {
		if _, err := p.Publish(t.Context(), "test", Order{Release: release, Assignment: assign(change)}); err == nil || w.want.Serial != 1 {
			t.Errorf("%s was published: %+v, error %v", name, w.want, err)
		}
	}
	serial, err := p.Publish(t.Context(), "test", Order{Release: release, Newer: true, Assignment: assign(func(*proto.Assignment) {})})
	if err != nil || serial != 10 {
		t.Fatalf("publish: serial %s, error %v", serial, err)
	}
	for range 2 { // and over a restart
		w.clock = w.clock.Add(30 * time.Hour)
		mustRenew(t, p)
		if _, err := w.onBus(t, proto.Floor{}, only); err != nil {
			t.Errorf("a host that trusts the spare key only: %v", err)
		}
		p = w.open(t)
	}
	w.clock = w.clock.Add(30 * time.Hour)
	mustRenew(t, p)
	if order, err := w.onBus(t, proto.Floor{}, w.trust()); err != nil || order.Assignment.Serial != 10 {
		t.Errorf("after it expired: serial %s, error %v; want it signed anew", order.Assignment.Serial, err)
	}
}

func TestWithdrawalsFile(t *testing.T) {
	dir := t.TempDir()
	files := Files{Dir: filepath.Join(dir, "desired"), WithdrawalsFile: filepath.Join(dir, "withdrawals.json")}
	if got, err := files.Withdrawals(); got != nil || err != nil {
		t.Errorf("without a file: got %v, %v", got, err)
	}
	list := newWorld(t).list(t, 5)
	if err := files.SaveWithdrawals(list); err != nil {
		t.Fatal(err)
	}
	if got, err := files.Withdrawals(); err != nil || !same(got, &list) {
		t.Errorf("got %v, %v; want what was saved", got, err)
	}
	if err := os.Truncate(files.WithdrawalsFile, 20); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Shelf: files, Log: newWorld(t).options().Log}); err == nil {
		t.Error("a torn file was taken for none")
	}
	if _, err := files.Withdrawals(); err == nil {
		t.Errorf("got error %v, want one about the file", err)
	}
}
