package agent_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kedge/agent"
	"kedge/agent/internal/closure"
	"kedge/agent/internal/credentials"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/hook"
	"kedge/agent/internal/outbox"
	"kedge/agent/internal/statefile"
	"kedge/proto"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// inhibitMax is less than an assignment is valid for.
const inhibitMax = 30 * time.Minute

// A world is everything around an agent.
type world struct {
	t        *testing.T
	files    statefile.Dir
	registry *prometheus.Registry

	release, controller proto.SecretKey
	host                proto.HostName
	machineID           string
	issued              time.Time // of what is assigned; zero means now
	hooks               agent.HooksConfig
	configure           func(c *agent.Config) // changes the configuration; nil leaves it
	mode                proto.Mode            // of what is assigned
	caches              []string
	drift               agent.DriftConfig
	examined            func()    // runs while something here is looked at
	logged              io.Writer // where the log goes to; nil for nowhere
	inhibitReboots      bool      // and nothing else, who vetoes besides those in files

	startedWith agent.Start

	bell chan struct{}

	mu        sync.Mutex
	desired   []byte // guarded by mu, as all below
	unread    error  // why the desired state cannot be read
	silent    bool   // nobody answers who asks for it
	reads     int    // how often it was asked for
	connects  uint64
	systems   proto.Systems
	vetoed    int           // times that the inhibitors were asked
	unseen    error         // why systems cannot be read
	looks     int           // how often systems was read
	reboot    []string      // what of every system but the booted one needs a reboot
	inhibits  []string      // why no system may be switched to
	fetched   agent.Fetched // what else is found out of a system
	leases    func(acquire bool, deployment string) (proto.LeaseReply, error)
	live      []statefile.Veto // besides those in files
	reboots   []statefile.Veto
	deaf      error // why who else vetoes cannot be asked
	store     fakeStore
	down      bool          // the host is going down
	answers   bool          // somebody does whom the host may reach
	rebooted  int           // how often the host was to be
	refusals  int           // how often that is refused before
	rebooting time.Duration // until either is known; zero asks no clock
	offline   bool          // the agent is not connected
	linked    chan struct{} // closed when that changes; nil if it does not
	hook      func(ctx context.Context, c hook.Call) error
	calls     []hook.Call // of hooks
	prune     func(ctx context.Context, d deployment.Deployment) ([]proto.Generation, error)
	collect   func(ctx context.Context) error
	pruned    []deployment.Deployment // for which it was asked
	collects  int
	fetch     func(ctx context.Context, o closure.FetchOrder) error
	givenUp   int             // how often what was fetched was let go of
	absent    proto.StorePath // is not here
	gone      bool            // and that is known
	switching bool            // somebody else's switch runs
	// configured are the specialisations that systems' configurations name, and
	// unconfigured why they cannot be read.
	configured   map[proto.StorePath]deployment.Specialisation
	unconfigured error
	ensured      []deployment.Deployment
	statuses     []proto.Status
	events       []proto.Event
	untold       error  // why no event can be published
	published    func() // runs after each that was; nil for nothing
	logs         []proto.Log
	unlogged     func(l proto.Log) error // why a log cannot be published; nil if any can
	held         credentials.State
	changed      chan struct{} // closed when something below mu changed
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t:        t,
		files:    statefile.Dir{State: t.TempDir(), Runtime: t.TempDir()},
		registry: prometheus.NewRegistry(),
		bell:     make(chan struct{}, 1),
		systems:  proto.Systems{Current: pathA, Booted: pathA, Profile: pathA, Generation: 1},
		fetch:    func(context.Context, closure.FetchOrder) error { return nil },
		changed:  make(chan struct{}),
		connects: 1,
	}
	w.must(w.files.SaveFloor(proto.Floor{})) // it has run before
	w.release, w.controller = newKey(t, "release-1"), newKey(t, "controller-1")
	var err error
	if w.host, err = proto.ParseHostName("web1"); err != nil {
		t.Fatal(err)
	}
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

// start runs an agent until the test ends, and returns a function that ends it
// earlier. What an agent before it published is forgotten; when start returns,
// the agent has asked what is desired.
func (w *world) start() (stop func()) {
	w.t.Helper()
	_, stop = w.startAgent()
	return stop
}

// startAgent is start, for who wants to ask the agent something.
func (w *world) startAgent() (a *agent.Agent, stop func()) {
	w.t.Helper()
	w.change(func() { w.statuses, w.reads = nil, 0 })
	a = w.agent()
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Run = %v", err)
		}
		w.registry = prometheus.NewRegistry()
	})
	w.t.Cleanup(stop)
	w.await("the agent to ask", func() bool { return w.reads > 0 })
	return a, stop
}

// follow runs no more than a reconciler, until the test ends. It is for tests in
// a bubble of synctest.
func (w *world) follow() *agent.Agent {
	w.t.Helper()
	a, _ := w.followUntil()
	return a
}

// followUntil is follow, for who ends it earlier.
func (w *world) followUntil() (a *agent.Agent, stop func()) {
	w.t.Helper()
	a = w.agent()
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Follow(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Follow = %v", err)
		}
		w.registry = prometheus.NewRegistry()
	})
	w.t.Cleanup(stop)
	return a, stop
}

func (w *world) agent() *agent.Agent {
	w.t.Helper()
	c := agent.DefaultConfig()
	c.Host = w.host
	c.Inhibit.Max = inhibitMax
	c.StateDir, c.RuntimeDir = w.files.State, w.files.Runtime
	c.Hooks = w.hooks
	if w.configure != nil {
		w.configure(&c)
	}
	c.Caches = w.caches
	c.Drift = w.drift
	c.Trust.ReleaseKeys = []proto.PublicKey{w.release.Public()}
	c.Trust.ControllerKeys = []proto.PublicKey{w.controller.Public()}
	log := slog.New(slog.DiscardHandler)
	if w.logged != nil {
		log = slog.New(slog.NewTextHandler(w.logged, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
	}
	box, err := outbox.Open(outbox.Options{Dir: filepath.Join(w.files.State, "outbox"), Log: log})
	if err != nil {
		w.t.Fatal(err)
	}
	a, err := agent.New(agent.Options{
		Config: c,
		Identity: agent.Identity{
			Version: "1.2.3", Executable: "/nix/store/x/bin/kedge-agent", InvocationID: "inv", BootID: "boot", MachineID: w.machineID, Instance: "here",
		},
		Bus: w, Link: w, Fetcher: w, Guard: w, Systems: w, Hooks: w, Leases: w, Tidier: w, Inhibitors: w, Store: &w.store, Spaces: w, Power: w, Keeper: w, Endpoints: w,
		Start: w.startedWith, Files: w.files, Outbox: box, Log: log, Registry: w.registry,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// assign signs an order and rings the bell.
func (w *world) assign(serial proto.Serial, toplevel proto.StorePath) {
	w.t.Helper()
	w.assignBy(serial, toplevel, w.release, w.controller)
}

func (w *world) assignBy(serial proto.Serial, toplevel proto.StorePath, release, controller proto.SecretKey) {
	w.t.Helper()
	r, err := proto.Release{Host: w.host, Serial: serial, Toplevel: toplevel, Closure: proto.DigestOf(nil)}.Sign(release)
	if err != nil {
		w.t.Fatal(err)
	}
	issued := w.issued
	if issued.IsZero() {
		issued = time.Now()
	}
	a, err := proto.Assignment{
		Host: w.host, Serial: serial, Issued: issued, Expires: issued.Add(time.Hour), Release: proto.DigestOf(r.Payload), Mode: w.mode,
	}.Sign(controller)
	if err != nil {
		w.t.Fatal(err)
	}
	b, err := proto.Desired{Release: r, Assignment: a}.Encode()
	if err != nil {
		w.t.Fatal(err)
	}
	w.change(func() { w.desired = b })
	w.ring()
}

func (w *world) ring() {
	select {
	case w.bell <- struct{}{}:
	default:
	}
}

// change changes the world and wakes who awaits something.
func (w *world) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	close(w.changed)
	w.changed = make(chan struct{})
}

// await waits until ok holds. ok runs with mu held.
func (w *world) await(what string, ok func() bool) {
	w.t.Helper()
	deadline := time.After(patience)
	for {
		w.mu.Lock()
		holds, changed := ok(), w.changed
		w.mu.Unlock()
		if holds {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			w.mu.Lock()
			defer w.mu.Unlock()
			w.t.Fatalf("waited %s for %s; ensured: %+v; events: %+v", patience, what, w.ensured, w.events)
		}
	}
}

// fetchUntilCut has a fetch take until it is cut short. begun is closed when it
// has begun, cut when it was cut short.
func (w *world) fetchUntilCut() (begun, cut <-chan struct{}) {
	begins, ends := make(chan struct{}), make(chan struct{})
	w.fetch = func(ctx context.Context, _ closure.FetchOrder) error {
		close(begins)
		<-ctx.Done()
		close(ends)
		return ctx.Err()
	}
	return begins, ends
}

// awaitClosed waits until c is closed.
func (w *world) awaitClosed(what string, c <-chan struct{}) {
	w.t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		w.t.Fatalf("waited %s for %s", patience, what)
	}
}

// awaitStatus waits for a published status that is ok, and returns it.
func (w *world) awaitStatus(what string, ok func(s proto.Status) bool) proto.Status {
	w.t.Helper()
	var found proto.Status
	w.await(what, func() bool {
		if n := len(w.statuses); n > 0 && ok(w.statuses[n-1]) {
			found = w.statuses[n-1]
			return true
		}
		return false
	})
	return found
}

// awaitTransaction waits until a transaction was started or seen to, and returns
// the record of the first.
func (w *world) awaitTransaction() (d deployment.Deployment) {
	w.t.Helper()
	w.await("a transaction to be seen to", func() bool {
		if len(w.ensured) > 0 {
			d = w.ensured[0]
		}
		return len(w.ensured) > 0
	})
	return d
}

func condition(s proto.Status, t proto.ConditionType) proto.Condition {
	for _, c := range s.Conditions {
		if c.Type == t {
			return c
		}
	}
	return proto.Condition{}
}

// commit does what a transaction would: it carries the record to its end.
func (w *world) commit(d deployment.Deployment) {
	w.t.Helper()
	for _, p := range []proto.Phase{proto.PhaseActivating, proto.PhaseProbation, proto.PhaseCommitting, proto.PhaseCommitted} {
		var err error
		if d, err = d.Advance(deployment.Step{Phase: p, Time: time.Now()}); err != nil {
			w.t.Fatal(err)
		}
	}
	w.mu.Lock()
	w.systems.Current, w.systems.Profile = d.Toplevel, d.Toplevel
	w.mu.Unlock()
	err := w.files.SaveProven(deployment.Proven{Toplevel: d.Toplevel, Generation: 2})
	if err := errors.Join(err, w.files.Save(d)); err != nil {
		w.t.Fatal(err)
	}
}
