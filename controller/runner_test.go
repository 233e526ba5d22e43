package controller

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/controller/internal/cache"
	"kedge/controller/internal/publish"
	"kedge/controller/internal/rollout"
	"kedge/internal/spec"
	"kedge/proto"
)

// fakePublisher publishes into a fleet. It fails for hosts that fail names.
type fakePublisher struct {
	toplevels []proto.StorePath
	near      map[proto.HostName][]string // as said last

	fleet     *Fleet
	fail      map[proto.HostName]error
	withdrawn map[proto.HostName]error // what is given back to whom
	begins    func()                   // called once, by the first publication
	former    map[proto.StorePath]publish.Former

	once      sync.Once
	mu        sync.Mutex // guards published
	published []string
}

func (p *fakePublisher) Near(caches map[proto.HostName][]string) { p.near = caches }

func (p *fakePublisher) Toplevels(proto.HostName) []proto.StorePath { return p.toplevels }
func (p *fakePublisher) NextRelease(proto.HostName) proto.Serial    { return 1 }

func (p *fakePublisher) Former(name proto.HostName, toplevel proto.StorePath, _ proto.Digest) (publish.Former, bool, error) {
	f, known := p.former[toplevel]
	return f, known, p.withdrawn[name]
}

func (p *fakePublisher) Publish(_ context.Context, _ string, o publish.Order) (proto.Serial, error) {
	if p.begins != nil {
		p.once.Do(p.begins)
	}
	release := string(o.Release.Payload) // what fakeSigner made
	name, toplevel, _ := cutRelease(release)
	if err := p.fail[name]; err != nil {
		return 0, err
	}
	r, _ := p.fleet.Host(name)
	serial := r.Host.Want.Serial + 1
	p.fleet.Want(name, proto.Target{Serial: serial, Toplevel: toplevel})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.published = append(p.published, name.String()+"="+toplevel.Base()[33:])
	return serial, nil
}

// did returns what was published, sorted.
func (p *fakePublisher) did() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(slices.Values(p.published))
}

// fakeSigner signs by writing down what it is asked to sign.
type fakeSigner struct{}

func (fakeSigner) Release(r proto.Release) (proto.Envelope, error) {
	return proto.Envelope{Payload: []byte(r.Host.String() + " " + r.Toplevel.String())}, nil
}

func cutRelease(s string) (proto.HostName, proto.StorePath, error) {
	for i := range s {
		if s[i] == ' ' {
			h, err := proto.ParseHostName(s[:i])
			if err != nil {
				return h, proto.StorePath{}, err
			}
			p, err := proto.ParseStorePath(s[i+1:])
			return h, p, err
		}
	}
	return proto.HostName{}, proto.StorePath{}, errors.New("no release")
}

// fakeClosures lists each toplevel alone.
type fakeClosures struct{}

func (fakeClosures) Closures(_ context.Context, toplevels ...proto.StorePath) (cache.Closures, error) {
	c := cache.Closures{}
	for _, p := range toplevels {
		c[p] = proto.Closure{{Path: p, NarHash: "sha256:0", NarSize: 1}}
	}
	return c, nil
}

func (f fakeClosures) Provide(ctx context.Context, toplevels ...proto.StorePath) (cache.Closures, error) {
	return f.Closures(ctx, toplevels...)
}

// memorySaver is a disk that may crash.
type memorySaver struct {
	saved rollout.Rollout
	past  []rollout.Rollout // the newest first
	err   error
}

func (m *memorySaver) Save(r rollout.Rollout) error {
	if m.err != nil {
		return m.err
	}
	data, err := r.Encode()
	if err != nil {
		return err
	}
	m.saved, err = rollout.Parse(data) // nobody changes it any more
	return err
}

func (m *memorySaver) Retire(r rollout.Rollout, forgotten ...rollout.Rollout) error {
	if m.err != nil {
		return m.err
	}
	m.past = append([]rollout.Rollout{r}, slices.DeleteFunc(m.past, func(p rollout.Rollout) bool {
		return slices.ContainsFunc(forgotten, func(f rollout.Rollout) bool { return f.ID == p.ID })
	})...)
	return nil
}

type runnerTest struct {
	*runner
	publisher *fakePublisher
	saver     *memorySaver
	audits    *[]proto.AuditEntry
}

func newRunner() runnerTest {
	fleet := NewFleet(time.Now)
	fleet.CaughtUp()
	return newRunnerOf(fleet)
}

// newRunnerOf returns a runner that has nothing yet, over a fleet.
func newRunnerOf(fleet *Fleet) runnerTest {
	r := runnerTest{publisher: &fakePublisher{fleet: fleet, fail: map[proto.HostName]error{}}, saver: &memorySaver{}, audits: new([]proto.AuditEntry)}
	r.runner = &runner{
		releaser: releaser{fakeSigner{}, r.publisher}, channel: "main", closures: fakeClosures{}, roots: keepingBuilder{}, fleet: fleet, saver: r.saver,
		heard: func() time.Time { return fleet.started }, holds: &holds{},
		audit: func(_ context.Context, e proto.AuditEntry) { *r.audits = append(*r.audits, e) },
		now:   time.Now, log: slog.New(slog.DiscardHandler), rounds: make(chan struct{}, 1),
	}
	return r
}

// deploy does with a revision what the deployer does.
func (r runnerTest) deploy(t *testing.T, rev proto.Revision, toplevels map[proto.HostName]proto.StorePath) error {
	t.Helper()
	var all []proto.StorePath
	for _, p := range toplevels {
		all = append(all, p)
	}
	closures, _ := fakeClosures{}.Closures(t.Context(), all...) // never fails
	signed, err := r.sign(rev, toplevels, closures)
	if err != nil {
		t.Fatal(err)
	}
	return r.begin(t.Context(), rev, spec.Spec{}, toplevels, signed)
}

// look carries out what is to be done now, for all channels.
func (r runnerTest) look(t *testing.T) error {
	t.Helper()
	return r.round(t.Context())
}

func storePath(t testing.TB, name string) proto.StorePath {
	t.Helper()
	p, err := proto.ParseStorePath(proto.StoreDir + "00000000000000000000000000000000-" + name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRunnerPublishesWhatChanged(t *testing.T) {
	r := newRunner()
	web1, web2 := host(t, "web1"), host(t, "web2")
	a, b := storePath(t, "a"), storePath(t, "b")
	for _, step := range []struct {
		rev       string
		toplevels map[proto.HostName]proto.StorePath
		want      []string
	}{
		{"1", map[proto.HostName]proto.StorePath{web1: a, web2: a}, []string{"web1=a", "web2=a"}},
		{"2", map[proto.HostName]proto.StorePath{web1: b, web2: a}, []string{"web1=b"}},
		{"3", map[proto.HostName]proto.StorePath{web1: a, web2: a}, []string{"web1=a"}}, // a git revert
		{"3", map[proto.HostName]proto.StorePath{web1: a, web2: a}, nil},
	} {
		r.publisher.published = nil
		if err := r.deploy(t, revision(t, step.rev), step.toplevels); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(step.want, r.publisher.did()); diff != "" {
			t.Errorf("revision %s (-want +got):\n%s", step.rev, diff)
		}
	}
}

func TestRunnerLeavesAloneWhatAPersonPublished(t *testing.T) {
	r := newRunner()
	web1, web2 := host(t, "web1"), host(t, "web2")
	a, b, mine := storePath(t, "a"), storePath(t, "b"), storePath(t, "mine")
	if err := r.deploy(t, revision(t, "1"), map[proto.HostName]proto.StorePath{web1: a}); err != nil {
		t.Fatal(err)
	}
	r.fleet.Want(web1, proto.Target{Serial: 2, Toplevel: mine})
	r.publisher.published = nil

	// The same revision again, with a host that did not build before: as after a
	// restart, or a retry.
	r.resume(r.saver.saved, nil)
	if err := r.deploy(t, revision(t, "1"), map[proto.HostName]proto.StorePath{web1: a, web2: b}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"web2=b"}, r.publisher.did()); diff != "" {
		t.Errorf("the same revision again (-want +got):\n%s", diff)
	}
	if err := r.deploy(t, revision(t, "2"), map[proto.HostName]proto.StorePath{web1: a, web2: b}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"web1=a", "web2=b"}, r.publisher.did()); diff != "" {
		t.Errorf("a newer revision (-want +got):\n%s", diff)
	}
}

func TestRunnerPublishesAgainWhatWasLost(t *testing.T) {
	r := newRunner()
	web1, web2 := host(t, "web1"), host(t, "web2")
	a := storePath(t, "a")
	both := map[proto.HostName]proto.StorePath{web1: a, web2: a}
	if err := r.deploy(t, revision(t, "1"), both); err != nil {
		t.Fatal(err)
	}

	again := newRunner() // the rollout is durable, and web2's file; web1's is gone
	again.fleet.Want(web2, proto.Target{Serial: 1, Toplevel: a})
	again.resume(r.saver.saved, nil)
	if err := again.deploy(t, revision(t, "1"), both); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"web1=a"}, again.publisher.did()); diff != "" {
		t.Errorf("after the restart (-want +got):\n%s", diff)
	}
}

func TestRunnerGoesOnAfterACrash(t *testing.T) {
	r := newRunner()
	web1, web2 := host(t, "web1"), host(t, "web2")
	a := storePath(t, "a")
	r.publisher.fail[web2] = errors.New("killed")
	if err := r.deploy(t, revision(t, "1"), map[proto.HostName]proto.StorePath{web1: a, web2: a}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"web1=a"}, r.publisher.did()); diff != "" {
		t.Errorf("one host's failure (-want +got):\n%s", diff)
	}
	if v, _ := r.fleet.Host(web2); v.Host.Problem == nil || v.Host.Problem.Reason != proto.ReasonRetrying {
		t.Errorf("problem of web2 = %+v, want one that is retried", v.Host.Problem)
	}

	again := newRunner()
	again.fleet, again.publisher.fleet = r.fleet, r.fleet // what is durable
	again.resume(r.saver.saved, nil)
	if err := again.look(t); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"web2=a"}, again.publisher.did()); diff != "" {
		t.Errorf("after the restart (-want +got):\n%s", diff)
	}
	if v, _ := again.fleet.Host(web2); v.Host.Problem != nil {
		t.Errorf("problem of web2 = %+v after it was published", v.Host.Problem)
	}
}

func TestRunnerTakesBackAProblemThatIsNone(t *testing.T) {
	r := newRunner()
	web1, a := host(t, "web1"), storePath(t, "a")
	r.publisher.fail[web1] = errors.New("durable, but the bus was full")
	if err := r.deploy(t, revision(t, "1"), map[proto.HostName]proto.StorePath{web1: a}); err != nil {
		t.Fatal(err)
	}
	r.fleet.Want(web1, proto.Target{Serial: 1, Toplevel: a}) // it was published all the same
	if err := r.look(t); err != nil {
		t.Fatal(err)
	}
	if v, _ := r.fleet.Host(web1); v.Host.Problem != nil || len(r.publisher.did()) != 0 {
		t.Errorf("problem = %+v, published %v; want none, and nothing more", v.Host.Problem, r.publisher.did())
	}
}

func TestRunnerSavesInTheEndWhatCouldNotBeSaved(t *testing.T) {
	r := newRunner()
	r.fleet.CaughtUp()
	web1, a := host(t, "web1"), storePath(t, "a")
	if err := r.deploy(t, revision(t, "1"), map[proto.HostName]proto.StorePath{web1: a}); err != nil {
		t.Fatal(err)
	}
	r.fleet.Heard(web1, "", time.Now())
	if err := r.deploy(t, revision(t, "2"), map[proto.HostName]proto.StorePath{web1: storePath(t, "b")}); err != nil {
		t.Fatal(err)
	}
	r.saver.err = syscall.ENOSPC
	r.fleet.Apply(status(web1, 2, proto.PhaseCommitted), time.Now())
	if err := r.look(t); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error = %v, want that of the disk", err)
	}
	r.saver.err = nil
	if err := r.look(t); err != nil {
		t.Fatal(err)
	}
	if got := r.saver.saved.State; got != rollout.Done {
		t.Errorf("saved %s once the disk had room, want %s", got, rollout.Done)
	}
}

func TestRunnerBeginsNothingThatIsNotDurable(t *testing.T) {
	r := newRunner()
	r.saver.err = syscall.ENOSPC
	err := r.deploy(t, revision(t, "1"), map[proto.HostName]proto.StorePath{host(t, "web1"): storePath(t, "a")})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error = %v, want that of the disk", err)
	}
	if len(r.publisher.published) != 0 {
		t.Errorf("published %v", r.publisher.published)
	}
}

func TestRunnerTakesNobodyForSilentBeforeItHeardAll(t *testing.T) {
	r := newRunnerOf(NewFleet(time.Now))
	if err := r.deploy(t, revision(t, "1"), map[proto.HostName]proto.StorePath{host(t, "web1"): storePath(t, "a")}); err != nil {
		t.Fatal(err)
	}
	if got := r.current().State; got != rollout.Running {
		t.Errorf("rollout = %s before anybody was heard, want it running", got)
	}
	r.fleet.CaughtUp()
	if err := r.look(t); err != nil {
		t.Fatal(err)
	}
	if got := r.current().State; got != rollout.Done {
		t.Errorf("rollout = %s, want done: web1 never said a word", got)
	}
}

func TestRunnerSettles(t *testing.T) {
	r := newRunner()
	web1, web2 := host(t, "web1"), host(t, "web2")
	a := storePath(t, "a")
	r.fleet.Heard(web1, "", time.Now())
	r.fleet.Heard(web2, "", time.Now())
	if err := r.deploy(t, revision(t, "1"), map[proto.HostName]proto.StorePath{web1: a, web2: a}); err != nil {
		t.Fatal(err)
	}
	r.fleet.Apply(status(web1, 1, proto.PhaseCommitted), time.Now())
	if err := r.look(t); err != nil {
		t.Fatal(err)
	}
	if got := r.current(); got.State != rollout.Running || got.Hosts[web1].Verdict != proto.VerdictSucceeded {
		t.Errorf("rollout = %+v, want it running, with web1 done", got)
	}

	// web2 ran it already, and has nothing to deploy.
	r.fleet.Apply(proto.Status{
		Host: web2, Serial: 1, Systems: proto.Systems{Current: a, Proven: a},
		Conditions: []proto.Condition{{Type: proto.ConditionReady, Status: proto.StatusTrue}},
	}, time.Now())
	if err := r.look(t); err != nil {
		t.Fatal(err)
	}
	if got := r.current(); got.State != rollout.Done || r.saver.saved.State != rollout.Done {
		t.Errorf("rollout = %s, saved %s; want both done", got.State, r.saver.saved.State)
	}
}
