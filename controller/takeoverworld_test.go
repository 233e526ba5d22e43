package controller

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"kedge/controller/internal/cache"
	"kedge/controller/internal/enroll"
	"kedge/controller/internal/publish"
	"kedge/controller/internal/replica"
	"kedge/controller/internal/sign"
	"kedge/proto"
	"kedge/proto/bus"
)

var errKilled = errors.New("the process was killed")

// A killBus is one controller's connection to NATS. At the n-th thing that it is to keep
// the controller is killed, before that is kept or after it.
type killBus struct {
	*fenceBus
	told *statementsTold

	mu      sync.Mutex // guards what follows
	writes  int
	at      int // the write that is the last; -1 for none
	applied bool
	dead    bool
}

// statementsTold is what each host was told, in order.
type statementsTold struct {
	mu  sync.Mutex
	all map[proto.HostName][]proto.Target
}

func (b *killBus) write(key string, data []byte, last uint64) (seq uint64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dead {
		return 0, errKilled
	}
	n := b.writes
	b.writes++
	b.dead = n == b.at
	if !b.dead || b.applied {
		seq, err = b.put(key, data, last)
	}
	if b.dead {
		return 0, errKilled
	}
	return seq, err
}

// arm has the controller be killed at a write, counted from now on.
func (b *killBus) arm(at int, applied bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writes, b.at, b.applied = 0, at, applied
}

func (b *killBus) killed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dead
}

func (b *killBus) read(key string) (bus.Raw, error) {
	if b.killed() {
		return bus.Raw{}, errKilled
	}
	return b.get(key), nil
}

func (b *killBus) PutControl(_ context.Context, key string, data []byte, last uint64) (uint64, error) {
	return b.write("control "+key, data, last)
}

func (b *killBus) GetControl(_ context.Context, key string) (bus.Raw, error) {
	return b.read("control " + key)
}

func (b *killBus) NextControl(ctx context.Context, from uint64) (string, bus.Raw, error) {
	if b.killed() {
		return "", bus.Raw{}, errKilled
	}
	return (&fenceConn{fenceBus: b.fenceBus}).NextControl(ctx, from)
}

func (b *killBus) PutDesired(_ context.Context, host proto.HostName, data []byte, last uint64) (uint64, error) {
	seq, err := b.write("desired "+host.String(), data, last)
	if b.get("desired "+host.String()).Data == nil || string(b.get("desired "+host.String()).Data) != string(data) {
		return seq, err // it did not arrive
	}
	d, problem := proto.ParseDesired(data)
	a, opens := b.signer.OpenAssignment(d.Assignment)
	r, also := b.signer.OpenRelease(d.Release)
	if problem := errors.Join(problem, opens, also); problem != nil {
		return 0, problem
	}
	b.told.mu.Lock()
	defer b.told.mu.Unlock()
	b.told.all[host] = append(b.told.all[host], proto.Target{Serial: a.Serial, Toplevel: r.Toplevel, Published: a.Issued})
	return seq, err
}

func (b *killBus) GetDesired(_ context.Context, host proto.HostName) (bus.Raw, error) {
	r, err := b.read("desired " + host.String())
	if err == nil && r.Seq == 0 {
		err = bus.ErrNoDesired
	}
	return r, err
}

func (b *killBus) DesiredHosts(context.Context) ([]proto.HostName, error) { return nil, nil }

func (b *killBus) Audit(context.Context, proto.AuditEntry) error { return nil }

// A crew is all of a controller that changes what is durable.
type crew struct {
	*office

	bus       *killBus
	state     *replica.Store
	publisher *publish.Publisher
	rollouts  *rollouts
	runner    *runner
	importer  *importer
	keys      *keyAPI
}

// A takeoverWorld is what the controllers have in common.
type takeoverWorld struct {
	takeoverKeys

	bus   *fenceBus
	told  *statementsTold
	key   []byte
	clock time.Time
}

// takeoverKeys are the keys that all controllers of a test have, and, of somebody else's,
// a release key and a spare one.
type takeoverKeys struct {
	signer    *sign.Signer
	ci, spare proto.SecretKey
}

func newTakeoverWorld(t *testing.T, keys takeoverKeys) *takeoverWorld {
	t.Helper()
	return &takeoverWorld{
		takeoverKeys: keys,
		bus:          &fenceBus{values: map[string]bus.Raw{}, signer: keys.signer}, told: &statementsTold{all: map[proto.HostName][]proto.Target{}},
		key: make([]byte, 32), clock: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC),
	}
}

// lead opens the controller of a state directory when it has taken the lead, and goes on
// with what there is.
func (w *takeoverWorld) lead(t *testing.T, dir string) *crew {
	t.Helper()
	log, now := slog.New(slog.DiscardHandler), func() time.Time { return w.clock }
	c := &crew{bus: &killBus{fenceBus: w.bus, told: w.told, at: -1}}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	c.state, err = replica.Open(replica.Options{Bus: c.bus, Dir: dir, Parts: sharedParts(), Key: w.key, Log: log})
	must(err)
	at, err := w.bus.put("control leader", nil, w.bus.get("control leader").Seq)
	must(err)
	must(c.state.Lead(t.Context(), at, func(time.Duration) error { return nil }))

	c.office = newOffice(t, filepath.Join(dir, "unused"))
	c.now = now
	book, err := enroll.Open(filepath.Join(dir, hostsDir))
	must(err)
	operators, err := enroll.OpenOperators(filepath.Join(dir, operatorsFile))
	must(err)
	book.Shared, operators.Shared = c.state.Copy, c.state.Copy
	c.book, c.operators = book, operators
	c.know()

	c.fleet = NewFleet(now)
	c.fleet.CaughtUp()
	for _, name := range []string{"web1", "web2"} {
		c.fleet.Heard(parseHost(t, name), "", now())
	}
	c.publisher, err = publish.Open(publish.Options{
		Shelf: publish.Files{Dir: filepath.Join(dir, desiredDir), WithdrawalsFile: filepath.Join(dir, withdrawalsFile), Shared: c.state.Copy},
		Bus:   c.bus, Signer: w.signer, Published: c.fleet.Want, Now: now, Log: log,
	})
	must(err)
	held, err := openHolds(filepath.Join(dir, holdsFile), c.state.Copy)
	must(err)
	audit := func(context.Context, proto.AuditEntry) {}
	store := rolloutStore{dir: filepath.Join(dir, rolloutsDir), shared: c.state.Copy}
	c.runner = &runner{
		releaser: releaser{w.signer, c.publisher}, channel: "main", closures: fakeClosures{}, roots: keepingBuilder{}, fleet: c.fleet,
		heard: now, saver: store, holds: held, audit: audit, now: now, log: log, rounds: make(chan struct{}, 1),
	}
	current, found, past, err := store.Load("main")
	must(err)
	if found {
		c.runner.resume(current, past)
	}
	c.rollouts = &rollouts{runners: map[string]*runner{"main": c.runner}, holds: held, fleet: c.fleet, audit: audit, now: now, log: log}
	c.importer = &importer{
		fleet: c.fleet, relay: fakeRelay{}, check: func(proto.StorePath) error { return nil }, builder: keepingBuilder{}, signer: w.signer,
		publisher: c.publisher, releaser: releaser{w.signer, c.publisher}, rollouts: c.rollouts, log: log,
		differ: differ{closures: fakeClosures{}, fleet: c.fleet, log: log},
	}
	c.keys = &keyAPI{publisher: c.publisher, signer: w.signer, rollouts: c.rollouts, fleet: c.fleet, audit: audit, wake: func() {}, now: now, log: log}
	must(c.settle(t))
	return c
}

// settle does what a controller does by itself.
func (c *crew) settle(t *testing.T) error {
	t.Helper()
	return errors.Join(c.publisher.Renew(t.Context()), c.publisher.Sync(t.Context()), c.runner.round(t.Context()))
}

// fakeRelay has every closure, signed.
type fakeRelay struct{ fakeClosures }

func (fakeRelay) Bring(context.Context, proto.StorePath, []proto.PublicKey) error  { return nil }
func (fakeRelay) Signed(context.Context, proto.StorePath, []proto.PublicKey) error { return nil }

func (f fakeRelay) Relay(ctx context.Context, toplevels ...proto.StorePath) (cache.Closures, error) {
	return f.Closures(ctx, toplevels...)
}

// keepingBuilder builds nothing, and keeps everything.
type keepingBuilder struct{ Builder }

func (keepingBuilder) Root(proto.HostName, proto.StorePath) error     { return nil }
func (keepingBuilder) Prune(proto.HostName, ...proto.StorePath) error { return nil }

// check requires of what hosts were told that no serial stands for two things, and none
// comes after a higher one.
func (s *statementsTold) check() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for host, told := range s.all {
		said, last := map[proto.Serial]proto.StorePath{}, proto.Serial(0)
		for _, x := range told {
			if before, again := said[x.Serial]; again && before != x.Toplevel || x.Serial < last {
				return fmt.Errorf("%s was told %+v", host, told)
			}
			said[x.Serial], last = x.Toplevel, x.Serial
		}
	}
	return nil
}

// newTakeoverKeys makes them.
func newTakeoverKeys(t *testing.T) takeoverKeys {
	t.Helper()
	made := map[string]proto.SecretKey{}
	for _, name := range []string{"ci-1", "spare-1"} {
		key, err := proto.GenerateKey(name, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		made[name] = key
	}
	k := takeoverKeys{ci: made["ci-1"], spare: made["spare-1"]}
	var err error
	k.signer, err = sign.Open(sign.Options{
		Dir: t.TempDir(), Name: "test", Trusted: []proto.PublicKey{k.ci.Public()}, Spare: []proto.PublicKey{k.spare.Public()}, Rand: rand.Reader,
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
}
