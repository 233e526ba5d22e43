package controller

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"kedge/controller/internal/cache"
	"kedge/proto"
)

// fakePruner is a cache that notes how it is pruned.
type fakePruner struct {
	mu     sync.Mutex // guards what follows
	free   uint64
	pruned []cache.PruneOptions
}

func (p *fakePruner) Prune(_ context.Context, o cache.PruneOptions) (cache.Pruned, error) {
	slices.SortFunc(o.Keep, proto.StorePath.Compare)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pruned = append(p.pruned, o)
	return cache.Pruned{Systems: 1, Paths: 2, Bytes: 3}, nil
}
func (p *fakePruner) Usage() (cache.Usage, error) { return cache.Usage{Paths: 5, Bytes: 600}, nil }
func (p *fakePruner) Free() (uint64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.free, nil
}

// has makes so many bytes free.
func (p *fakePruner) has(free uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = free
}

// prunes returns how it was pruned so far.
func (p *fakePruner) prunes() []cache.PruneOptions {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.pruned)
}

func newRetention(t *testing.T, p *fakePruner) (*retention, *prometheus.Registry) {
	t.Helper()
	registry := prometheus.NewRegistry()
	r := &retention{
		cache: p, config: defaultCache(), fleet: NewFleet(time.Now),
		toplevels: func(proto.HostName) []proto.StorePath { return nil }, rollouts: func() []proto.StorePath { return nil },
		revisions: &keptRevisions{path: filepath.Join(t.TempDir(), "revisions.json"), max: 2, followed: everything, shared: alone},
		now:       time.Now, log: slog.New(slog.DiscardHandler),
	}
	newRetentionMetrics(r, registry)
	registry.MustRegister(newCacheCollector(r))
	return r, registry
}

func TestTheCacheKeepsWhatIsNeeded(t *testing.T) {
	p := &fakePruner{free: 1 << 40}
	r, _ := newRetention(t, p)
	web1 := host(t, "web1")
	path := func(name string) proto.StorePath { return storePath(t, name) }
	r.fleet.Want(web1, proto.Target{Serial: 7, Toplevel: path("wanted")})
	r.fleet.Apply(proto.Status{Host: web1, Systems: proto.Systems{
		Current: path("current"), Booted: path("booted"), Profile: path("profile"), Proven: path("proven"),
	}, Deployment: proto.DeploymentStatus{Toplevel: path("deployed")}}, time.Now())
	gone := host(t, "web9")
	r.fleet.Want(gone, proto.Target{Serial: 7, Toplevel: path("gone")})
	r.fleet.Apply(proto.Status{Host: gone, Systems: proto.Systems{Current: path("gone")}}, time.Now())
	r.fleet.Enrolled(gone, proto.HostKey{Revoked: time.Now()})
	r.toplevels = func(proto.HostName) []proto.StorePath { return []proto.StorePath{path("wanted"), path("before")} }
	r.rollouts = func() []proto.StorePath { return []proto.StorePath{path("next")} }
	note(t, r.revisions, "a#main", "1", path("oldest"))
	note(t, r.revisions, "a#main", "2", path("older"))
	note(t, r.revisions, "b#main", "9", path("other"))
	note(t, r.revisions, "a#main", "3", path("newest"))
	note(t, r.revisions, "a#main", "3", path("newest")) // tried again
	r.prune(t.Context(), false)

	var got []string
	for _, s := range p.pruned[0].Keep {
		_, name, _ := strings.Cut(s.Base(), "-")
		got = append(got, name)
	}
	slices.Sort(got)
	want := []string{"before", "booted", "current", "deployed", "newest", "next", "older", "other", "profile", "proven", "wanted"}
	if !slices.Equal(got, want) {
		t.Errorf("keeps %v, want %v", got, want)
	}
	if p.pruned[0].Retention != 7*24*time.Hour || p.pruned[0].Short {
		t.Errorf("pruned with %+v", p.pruned[0])
	}
}

func note(t *testing.T, k *keptRevisions, source, rev string, toplevel proto.StorePath) {
	t.Helper()
	if err := k.note(source, revision(t, rev), map[proto.HostName]proto.StorePath{host(t, "web1"): toplevel, host(t, "web2"): toplevel}); err != nil {
		t.Fatal(err)
	}
}

// everything follows whatever source.
func everything(string) bool { return true }

// TestTheCacheForgetsWhatAFormerChannelCameTo: with the next revision of another one for
// good.
func TestTheCacheForgetsWhatAFormerChannelCameTo(t *testing.T) {
	k := &keptRevisions{path: filepath.Join(t.TempDir(), "revisions.json"), max: 3, followed: everything, shared: alone}
	kept := func() []proto.StorePath {
		toplevels, err := k.toplevels()
		if err != nil {
			t.Fatal(err)
		}
		return toplevels
	}
	one, two, three := storePath(t, "one"), storePath(t, "two"), storePath(t, "three")
	note(t, k, "main", "1", one)
	note(t, k, "former", "2", two)
	k.followed = func(source string) bool { return source == "main" }
	if got, want := kept(), []proto.StorePath{one}; !slices.Equal(got, want) {
		t.Errorf("kept: got %v, want %v", got, want)
	}
	note(t, k, "main", "3", three)
	k.followed = everything
	if got, want := kept(), []proto.StorePath{one, three}; !slices.Equal(got, want) {
		t.Errorf("kept after another revision: got %v, want %v", got, want)
	}
}

func TestNothingIsPrunedWhereWhatIsNeededIsNotKnown(t *testing.T) {
	p := &fakePruner{}
	r, _ := newRetention(t, p)
	if err := os.WriteFile(r.revisions.path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.prune(t.Context(), true)
	if len(p.pruned) > 0 {
		t.Errorf("pruned with %+v", p.pruned)
	}
	if got := testutil.ToFloat64(r.prunes.WithLabelValues(resultFailed)); got != 1 {
		t.Errorf("failures: got %v, want 1", got)
	}
}

func TestTheCacheIsPrunedEveryHourAndWhenRoomIsShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &fakePruner{free: 1 << 40}
		r, _ := newRetention(t, p)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- r.run(ctx) }()
		after := func(d time.Duration, want int, why string) {
			t.Helper()
			<-time.After(d)
			synctest.Wait()
			if len(p.prunes()) != want {
				t.Fatalf("%s: pruned %d times, want %d", why, len(p.prunes()), want)
			}
		}
		after(2*pruneInterval, 0, "what hosts run is not known")
		r.fleet.CaughtUp()
		after(0, 1, "it is known")
		after(pruneInterval-roomLook, 1, "not an hour later")
		after(2*roomLook, 2, "an hour later")
		p.has(r.config.MinFree - 1)
		after(roomLook, 3, "room is short")
		if o := p.prunes()[2]; !o.Short || o.Retention != 0 {
			t.Errorf("short of room it was pruned with %+v", o)
		}
		after(roomLook, 3, "it was made short of room just now")
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestCacheMetrics(t *testing.T) {
	r, registry := newRetention(t, &fakePruner{free: 70})
	r.now = func() time.Time { return time.Unix(1800000000, 0) }
	r.prune(t.Context(), false)
	want := `
# HELP kedge_controller_cache_bytes Bytes of archives in the embedded cache, as counted within five minutes.
# TYPE kedge_controller_cache_bytes gauge
kedge_controller_cache_bytes 600
# HELP kedge_controller_cache_free_bytes Bytes that may still be written to the file system of the embedded cache.
# TYPE kedge_controller_cache_free_bytes gauge
kedge_controller_cache_free_bytes 70
# HELP kedge_controller_cache_last_prune_timestamp_seconds When the embedded cache was last pruned without an error; 0 if never.
# TYPE kedge_controller_cache_last_prune_timestamp_seconds gauge
kedge_controller_cache_last_prune_timestamp_seconds 1.8e+09
# HELP kedge_controller_cache_paths Store paths in the embedded cache, as counted within five minutes.
# TYPE kedge_controller_cache_paths gauge
kedge_controller_cache_paths 5
# HELP kedge_controller_cache_pruned_bytes_total Bytes of archives that were removed from the embedded cache.
# TYPE kedge_controller_cache_pruned_bytes_total counter
kedge_controller_cache_pruned_bytes_total 3
# HELP kedge_controller_cache_pruned_paths_total Store paths that were removed from the embedded cache.
# TYPE kedge_controller_cache_pruned_paths_total counter
kedge_controller_cache_pruned_paths_total 2
# HELP kedge_controller_cache_prunes_total How often the embedded cache was pruned, by result.
# TYPE kedge_controller_cache_prunes_total counter
kedge_controller_cache_prunes_total{result="failed"} 0
kedge_controller_cache_prunes_total{result="succeeded"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Error(err, problems)
	}
}
