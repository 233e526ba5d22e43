package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kedge/controller/internal/build"
	"kedge/controller/internal/buildlog"
	"kedge/controller/internal/cache"
	"kedge/controller/internal/publish"
	"kedge/controller/internal/source"
	"kedge/internal/nix"
	"kedge/internal/spec"
	"kedge/proto"
)

// instantParts are the source, the builder and the cache of one revision that is
// made in no time.
type instantParts struct {
	fakeRepository
	fakeClosures
	toplevels map[proto.HostName]proto.StorePath
	spec      spec.Spec
	kept      map[proto.HostName][]proto.StorePath // at the last Prune
	rooted    []proto.HostName
	unrooted  []proto.HostName
}

func (*instantParts) Fetch(context.Context, proto.Revision) error { return nil }
func (*instantParts) Admit(context.Context, proto.Revision, proto.Revision) (bool, error) {
	return false, nil
}
func (*instantParts) Tidy(context.Context) error          { return nil }
func (*instantParts) Watch(context.Context, func()) error { return nil }
func (*instantParts) Save(string, channelRecord) error    { return nil }
func (*instantParts) Checkout(context.Context, proto.Revision) (source.Tree, error) {
	return source.Tree{}, nil
}

func (p *instantParts) Evaluate(context.Context, string) (build.Evaluations, error) {
	return build.Evaluations{Spec: p.spec}, nil
}

func (p *instantParts) Build(context.Context, build.Evaluations, nix.LogFunc) (build.Builds, error) {
	return build.Builds{Toplevels: p.toplevels}, nil
}
func (*instantParts) Root(proto.HostName, proto.StorePath) error { return nil }
func (p *instantParts) Rooted() ([]proto.HostName, error)        { return p.rooted, nil }
func (p *instantParts) Unroot(host proto.HostName) error {
	p.unrooted = append(p.unrooted, host)
	return nil
}

func (p *instantParts) Prune(host proto.HostName, keep ...proto.StorePath) error {
	if p.kept == nil {
		p.kept = map[proto.HostName][]proto.StorePath{}
	}
	p.kept[host] = keep
	return nil
}

func (p *instantParts) Push(ctx context.Context, toplevels ...proto.StorePath) (cache.Closures, error) {
	return p.Closures(ctx, toplevels...)
}

// stuckPublisher waits for a bus that does not answer.
type stuckPublisher struct{ asked chan struct{} }

func (stuckPublisher) Near(map[proto.HostName][]string)           {}
func (stuckPublisher) NextRelease(proto.HostName) proto.Serial    { return 1 }
func (stuckPublisher) Toplevels(proto.HostName) []proto.StorePath { return nil }
func (stuckPublisher) Former(proto.HostName, proto.StorePath, proto.Digest) (publish.Former, bool, error) {
	return publish.Former{}, false, nil
}

func (p stuckPublisher) Publish(ctx context.Context, _ string, _ publish.Order) (proto.Serial, error) {
	p.asked <- struct{}{}
	<-ctx.Done()
	return 0, ctx.Err()
}

func TestDeployEndsThoughNATSDoesNotAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		stop bool // in the middle of the publication
		want time.Duration
	}{
		"by itself":           {want: publishTimeout},
		"soon after its work": {stop: true, want: publishGrace},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRunner()
				stuck := stuckPublisher{asked: make(chan struct{})}
				r.releaser.publisher = stuck
				parts := &instantParts{toplevels: map[proto.HostName]proto.StorePath{host(t, "web1"): storePath(t, "a")}}
				d := &deployer{
					kept:    &keptRevisions{path: filepath.Join(t.TempDir(), "revisions.json"), max: 3, followed: everything, shared: alone},
					channel: "main", hosts: spec.All(), claims: parts, redo: func([]string) {}, source: parts, builder: parts, logs: buildlog.Open(t.TempDir(), 1), cache: parts, runner: r.runner, fleet: r.fleet,
					differ:  differ{closures: parts, fleet: r.fleet, log: slog.New(slog.DiscardHandler)},
					metrics: newMetrics(prometheus.NewRegistry()), now: time.Now, log: slog.New(slog.DiscardHandler),
				}
				ctx, stop := context.WithCancelCause(t.Context())
				defer stop(nil)
				ended := make(chan error)
				go func() { ended <- d.Deploy(ctx, revision(t, "1"), time.Now(), func() {}) }()
				<-stuck.asked
				start := time.Now()
				if c.stop {
					stop(errors.New("the service is stopped"))
				}
				if err := <-ended; err != nil {
					t.Errorf("error = %v, want none: the rollout is durable, and goes on", err)
				}
				if took := time.Since(start); took != c.want {
					t.Errorf("ended after %s, want %s", took, c.want)
				}
				if got := r.saver.saved.Revision; got != revision(t, "1") {
					t.Errorf("revision %s is durable, want 1", got)
				}
			})
		})
	}
}

// keptBuilder notes what is not to be pruned.
type keptBuilder struct {
	*instantParts
	kept []proto.StorePath
}

func (b *keptBuilder) Prune(_ proto.HostName, keep ...proto.StorePath) error {
	b.kept = append(b.kept, keep...)
	return nil
}

func TestWhatAHostRunsOrMayGoBackToStaysRooted(t *testing.T) {
	r := newRunner()
	web1, runs, proven, wanted, earlier := host(t, "web1"), storePath(t, "runs"), storePath(t, "proven"), storePath(t, "wanted"), storePath(t, "earlier")
	r.publisher.toplevels = []proto.StorePath{wanted, earlier}
	r.fleet.Want(web1, proto.Target{Serial: 2, Toplevel: wanted})
	r.fleet.Apply(proto.Status{Host: web1, Systems: proto.Systems{Current: runs, Proven: proven}}, time.Now())
	b := &keptBuilder{}
	d := &deployer{builder: b, runner: r.runner, fleet: r.fleet, log: slog.New(slog.DiscardHandler)}
	d.prune(t.Context(), map[proto.HostName]proto.StorePath{web1: storePath(t, "next")})
	for name, want := range map[string]proto.StorePath{"runs": runs, "proven": proven, "wanted": wanted, "earlier": earlier} {
		if !slices.Contains(b.kept, want) {
			t.Errorf("what the host %s is not kept, only %v", name, b.kept)
		}
	}
}

// TestDeployKeepsWhatIsNotPublishedYet: what a host waits for must not be collected, nor
// what it may go back to.
func TestDeployKeepsWhatIsNotPublishedYet(t *testing.T) {
	r := newRunner()
	s, err := spec.Parse([]byte(canaryFirst), slices.Collect(maps.Keys(fleetOf(t, "b"))))
	if err != nil {
		t.Fatal(err)
	}
	r.deployAs(t, "1", "", fleetOf(t, "a"))
	parts := &instantParts{toplevels: fleetOf(t, "b"), spec: s}
	d := &deployer{
		kept:    &keptRevisions{path: filepath.Join(t.TempDir(), "revisions.json"), max: 3, followed: everything, shared: alone},
		channel: "main", claims: parts, redo: func([]string) {}, source: parts, builder: parts, logs: buildlog.Open(t.TempDir(), 1), cache: parts, runner: r.runner, fleet: r.fleet,
		differ:  differ{closures: parts, fleet: r.fleet, log: slog.New(slog.DiscardHandler)},
		metrics: newMetrics(prometheus.NewRegistry()), now: time.Now, log: slog.New(slog.DiscardHandler),
	}
	if err := d.Deploy(t.Context(), revision(t, "2"), time.Now(), func() {}); err != nil {
		t.Fatal(err)
	}
	r.mustHavePublished(t, "the first wave", "web1=a", "web1=b", "web2=a", "web3=a")
	for host, kept := range parts.kept {
		if !slices.Contains(kept, storePath(t, "a")) || !slices.Contains(kept, storePath(t, "b")) {
			t.Errorf("of %s is kept %v, want what it has and what it gets", host, kept)
		}
	}
	if len(parts.kept) != 3 {
		t.Errorf("pruned for %d hosts, want all", len(parts.kept))
	}
	if len(parts.unrooted) > 0 {
		t.Errorf("all is let go of for %v", parts.unrooted)
	}
}

// TestDeployLetsGoOfWhatHostsHadThatLeft, and of nothing else.
func TestDeployLetsGoOfWhatHostsHadThatLeft(t *testing.T) {
	r := newRunner()
	r.fleet.CaughtUp()
	web1, assigned, former := host(t, "web1"), host(t, "assigned"), host(t, "former")
	r.fleet.Want(assigned, proto.Target{Serial: 7, Toplevel: storePath(t, "wanted")})
	parts := &instantParts{toplevels: fleetOf(t, "a"), rooted: []proto.HostName{assigned, former, web1}}
	r.fleet.Claim("main", slices.Collect(maps.Keys(parts.toplevels)))
	d := &deployer{builder: parts, fleet: r.fleet, log: slog.New(slog.DiscardHandler)}
	d.unroot(t.Context())
	if want := []proto.HostName{former}; !slices.Equal(parts.unrooted, want) {
		t.Errorf("all is let go of for %v, want %v", parts.unrooted, want)
	}
}

// failingParts evaluate to web1 to web3, of which none builds while they are broken. They
// note what was deployed last.
type failingParts struct {
	*instantParts

	broken   bool
	deployed proto.Revision
}

func (p *failingParts) Save(_ string, r channelRecord) error {
	p.deployed = r.Deployed
	return nil
}

func (p *failingParts) Evaluate(context.Context, string) (build.Evaluations, error) {
	e := build.Evaluations{Hosts: map[proto.HostName]build.Evaluation{}, Spec: p.spec}
	for h := range p.toplevels {
		e.Hosts[h] = build.Evaluation{}
	}
	return e, nil
}

func (p *failingParts) Build(context.Context, build.Evaluations, nix.LogFunc) (build.Builds, error) {
	if !p.broken {
		return build.Builds{Toplevels: p.toplevels}, nil
	}
	failed := map[proto.HostName]*build.HostError{}
	for h := range p.toplevels {
		failed[h] = build.NewHostError(h, proto.ReasonDiskFull, errors.New("no space left on device"))
	}
	return build.Builds{Failed: failed}, nil
}

// TestARevisionOfWhichNothingIsBuiltTakesNobodysPlace: what was under way goes on, and can
// be taken back.
func TestARevisionOfWhichNothingIsBuiltTakesNobodysPlace(t *testing.T) {
	r := newRunner()
	s, err := spec.Parse([]byte(canaryFirst), slices.Collect(maps.Keys(fleetOf(t, "b"))))
	if err != nil {
		t.Fatal(err)
	}
	r.deployAs(t, "1", "", fleetOf(t, "a"))
	for _, h := range []string{"web1", "web2", "web3"} {
		r.says(t, h, proto.PhaseCommitted)
	}
	r.publisher.published = nil
	parts := &failingParts{instantParts: &instantParts{toplevels: fleetOf(t, "b"), spec: s}}
	d := &deployer{
		kept:    &keptRevisions{path: filepath.Join(t.TempDir(), "revisions.json"), max: 3, followed: everything, shared: alone},
		channel: "main", hosts: spec.All(), claims: parts, redo: func([]string) {}, source: parts, builder: parts, logs: buildlog.Open(t.TempDir(), 1), cache: parts, runner: r.runner, fleet: r.fleet,
		differ:  differ{closures: parts, fleet: r.fleet, log: slog.New(slog.DiscardHandler)},
		metrics: newMetrics(prometheus.NewRegistry()), now: time.Now, log: slog.New(slog.DiscardHandler),
	}
	if err := d.Deploy(t.Context(), revision(t, "2"), time.Now(), func() {}); err != nil {
		t.Fatal(err)
	}
	r.mustHavePublished(t, "the first wave", "web1=b")
	two := r.current().ID
	parts.broken = true
	for _, rev := range []string{"3", "2"} { // the second, as after a restart
		err := d.Deploy(t.Context(), revision(t, rev), time.Now(), func() {})
		if missed, ok := errors.AsType[*missedError](err); !ok || missed.reason() != proto.ReasonDiskFull {
			t.Errorf("revision %s: error = %v, want that it was missed, as the disk is full", rev, err)
		}
		if now := r.current(); now.ID != two || now.State.Ended() || parts.deployed != revision(t, "2") {
			t.Errorf("revision %s: the rollout is %s, %s, deployed is %s; want %s under way", rev, now.ID, now.State, parts.deployed.Short(), two)
		}
		if v, _ := r.fleet.Host(host(t, "web2")); v.Host.Problem == nil || v.Host.Problem.Revision != revision(t, rev) {
			t.Errorf("revision %s: problem of web2 = %+v, want that it did not build", rev, v.Host.Problem)
		}
	}
	r.must(t, proto.RolloutActRevert, "")
	r.mustHavePublished(t, "back", "web1=a")
}

// countedParts evaluate to one host, and count how often a channel is saved.
type countedParts struct {
	*instantParts
	host  proto.HostName
	saved int
}

func (p *countedParts) Save(string, channelRecord) error {
	p.saved++
	return nil
}

func (p *countedParts) Evaluate(context.Context, string) (build.Evaluations, error) {
	return build.Evaluations{Hosts: map[proto.HostName]build.Evaluation{p.host: {}}, Spec: p.spec}, nil
}

// TestARevisionOfTheSameHostsIsOneWriteOfItsChannel that says that it is deployed.
func TestARevisionOfTheSameHostsIsOneWriteOfItsChannel(t *testing.T) {
	r := newRunner()
	web1 := host(t, "web1")
	parts := &countedParts{instantParts: &instantParts{toplevels: map[proto.HostName]proto.StorePath{web1: storePath(t, "a")}}, host: web1}
	d := &deployer{
		kept:    &keptRevisions{path: filepath.Join(t.TempDir(), "revisions.json"), max: 3, followed: everything, shared: alone},
		channel: "main", hosts: spec.All(), claims: parts, redo: func([]string) {}, source: parts, builder: parts, logs: buildlog.Open(t.TempDir(), 1), cache: parts, runner: r.runner, fleet: r.fleet,
		differ:  differ{closures: parts, fleet: r.fleet, log: slog.New(slog.DiscardHandler)},
		metrics: newMetrics(prometheus.NewRegistry()), now: time.Now, log: slog.New(slog.DiscardHandler),
	}
	for i, want := range []int{2, 1} { // the first time its hosts are new
		parts.saved = 0
		if err := d.Deploy(t.Context(), revision(t, fmt.Sprint(i)), time.Now(), func() {}); err != nil {
			t.Fatal(err)
		}
		if parts.saved != want {
			t.Errorf("revision %d: its channel was saved %d times, want %d", i, parts.saved, want)
		}
	}
}

// slowSource notes what is asked of it and of the builder, which fails.
type slowSource struct {
	*instantParts
	log []string
}

func (s *slowSource) Fetch(context.Context, proto.Revision) error {
	s.log = append(s.log, "fetch")
	return nil
}

func (s *slowSource) Checkout(context.Context, proto.Revision) (source.Tree, error) {
	s.log = append(s.log, "check out")
	return source.Tree{}, nil
}

func (s *slowSource) Evaluate(context.Context, string) (build.Evaluations, error) {
	s.log = append(s.log, "evaluate")
	return build.Evaluations{}, errors.New("syntax error")
}

// TestDeploySaysThatItHasFetched once it has the submodules, too, and before anything is
// made of them.
func TestDeploySaysThatItHasFetched(t *testing.T) {
	parts := &slowSource{instantParts: &instantParts{}}
	d := &deployer{channel: "main", source: parts, builder: parts, metrics: newMetrics(prometheus.NewRegistry()), now: time.Now}
	err := d.Deploy(t.Context(), revision(t, "1"), time.Now(), func() { parts.log = append(parts.log, "fetched") })
	if err == nil {
		t.Fatal("it was deployed")
	}
	if got, want := strings.Join(parts.log, ", "), "fetch, check out, fetched, evaluate"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
