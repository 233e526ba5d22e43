package publish

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"kedge/controller/internal/sign"
	"kedge/proto"
	"kedge/proto/bus"
)

var errCrash = errors.New("crash")

var web1 = mustHost("web1")

func mustHost(s string) proto.HostName {
	h, err := proto.ParseHostName(s)
	if err != nil {
		panic(err)
	}
	return h
}

// world is a controller's surroundings: a disk and a bus that outlive it.
type world struct {
	faults    *faults
	shelf     *fakeShelf
	bus       *fakeBus
	signer    *sign.Signer
	ci, spare proto.SecretKey // a release key of others, and a controller key that is kept elsewhere
	clock     time.Time
	want      proto.Target // what was last made durable for web1
	toplevels []proto.StorePath
	late      int // how often something was late
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ci, spare := newKey(t, "ci"), newKey(t, "spare")
	signer, err := sign.Open(sign.Options{
		Dir: t.TempDir(), Name: "test", Trusted: []proto.PublicKey{ci.Public()}, Spare: []proto.PublicKey{spare.Public()}, Rand: rand.Reader,
	})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorldOf(t, signer)
	w.ci, w.spare = ci, spare
	return w
}

func newKey(t *testing.T, name string) proto.SecretKey {
	t.Helper()
	k, err := proto.GenerateKey(name, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newSigner(t *testing.T) *sign.Signer {
	t.Helper()
	signer, err := sign.Open(sign.Options{Dir: t.TempDir(), Name: "test", Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func newWorldOf(t *testing.T, signer *sign.Signer) *world {
	t.Helper()
	w := &world{
		faults: &faults{at: -1},
		signer: signer,
		clock:  time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC),
	}
	for _, c := range []string{"a", "b", "c"} {
		w.toplevels = append(w.toplevels, toplevel(t, c))
	}
	w.shelf = &fakeShelf{faults: w.faults, records: map[proto.HostName]Record{}}
	w.bus = &fakeBus{faults: w.faults, signer: signer, data: map[proto.HostName][]byte{}, seqs: map[proto.HostName]uint64{}}
	return w
}

func toplevel(t *testing.T, c string) proto.StorePath {
	t.Helper()
	hash := ""
	for range 32 {
		hash += c
	}
	p, err := proto.ParseStorePath(proto.StoreDir + hash + "-nixos-system")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (w *world) options() Options {
	return Options{
		Shelf: w.shelf, Bus: w.bus, Signer: w.signer, Caches: []string{"http://build.example:8080/cache"},
		Published: func(_ proto.HostName, t proto.Target) { w.want = t },
		Late:      func() { w.late++ },
		Now:       func() time.Time { w.clock = w.clock.Add(time.Second); return w.clock },
		Log:       slog.New(slog.DiscardHandler),
	}
}

func (w *world) open(t *testing.T) *Publisher {
	t.Helper()
	p, err := Open(w.options())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// release signs a release for web1.
func (w *world) release(p *Publisher, toplevel proto.StorePath) proto.Envelope {
	e, err := w.signer.Release(proto.Release{
		Host: web1, Serial: p.NextRelease(web1), Toplevel: toplevel, Closure: proto.DigestOf([]byte(toplevel.String())),
	})
	if err != nil {
		panic(err)
	}
	return e
}

func (w *world) trust() proto.Trust {
	return proto.Trust{ReleaseKeys: w.signer.ReleaseKeys(), ReleaseThreshold: 1, ControllerKeys: slices.Concat(w.signer.ControllerKeys(), w.signer.SpareKeys())}
}

// faults makes the at-th call crash, before its effect or after it.
type faults struct {
	calls, at int
	applied   bool
}

func (f *faults) set(at int, applied bool) { *f = faults{at: at, applied: applied} }

func (f *faults) do(effect func() error) error {
	f.calls++
	if f.calls-1 == f.at {
		if f.applied {
			_ = effect() // it happened, and nobody heard of it
		}
		return errCrash
	}
	return effect()
}

// fakeShelf is a disk.
type fakeShelf struct {
	faults  *faults
	records map[proto.HostName]Record

	withdrawals *proto.Envelope
}

func (s *fakeShelf) Load() ([]Record, error) { return slices.Collect(maps.Values(s.records)), nil }

func (s *fakeShelf) Withdrawals() (*proto.Envelope, error) { return s.withdrawals, nil }

func (s *fakeShelf) SaveWithdrawals(e proto.Envelope) error {
	return s.faults.do(func() error { s.withdrawals = &e; return nil })
}

func (s *fakeShelf) Save(r Record) error {
	return s.faults.do(func() error { s.records[r.Host] = r; return nil })
}

// fakeBus is a bucket with compare-and-set. down makes every call fail as if
// there were no connection; meanwhile runs once, before the next write.
type fakeBus struct {
	faults    *faults
	signer    *sign.Signer
	data      map[proto.HostName][]byte
	seqs      map[proto.HostName]uint64
	seq       uint64
	history   []proto.Target // of every statement that was stored
	audits    []proto.AuditEntry
	down      bool
	meanwhile func()
}

func (b *fakeBus) PutDesired(_ context.Context, host proto.HostName, data []byte, last uint64) (seq uint64, err error) {
	if f := b.meanwhile; f != nil {
		b.meanwhile = nil
		f()
	}
	if b.down {
		return 0, bus.ErrNotConnected
	}
	err = b.faults.do(func() error {
		if b.seqs[host] != last {
			return bus.ErrConflict
		}
		b.seq++
		b.data[host], b.seqs[host], seq = data, b.seq, b.seq
		d, err := proto.ParseDesired(data)
		if err != nil {
			return err
		}
		a, err := b.signer.OpenAssignment(d.Assignment)
		if err != nil {
			return err
		}
		r, err := proto.OpenRelease(d.Release, b.signer.ReleaseKeys(), 1)
		if err != nil {
			return err
		}
		b.history = append(b.history, proto.Target{Serial: a.Serial, Toplevel: r.Toplevel})
		return nil
	})
	return seq, err
}

func (b *fakeBus) GetDesired(_ context.Context, host proto.HostName) (bus.Raw, error) {
	if b.down {
		return bus.Raw{}, bus.ErrNotConnected
	}
	if _, there := b.data[host]; !there {
		return bus.Raw{}, bus.ErrNoDesired
	}
	return bus.Raw{Data: b.data[host], Seq: b.seqs[host]}, nil
}

func (b *fakeBus) DesiredHosts(context.Context) ([]proto.HostName, error) {
	if b.down {
		return nil, bus.ErrNotConnected
	}
	return slices.Collect(maps.Keys(b.data)), nil
}

func (b *fakeBus) Audit(_ context.Context, e proto.AuditEntry) error {
	if b.down {
		return bus.ErrNotConnected
	}
	b.audits = append(b.audits, e)
	return nil
}
