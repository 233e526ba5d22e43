package controller

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"kedge/controller/internal/cache"
	"kedge/proto"
)

const (
	// pruneInterval is how often the cache is pruned, and roomLook how often it is
	// looked whether there is room.
	pruneInterval = time.Hour
	roomLook      = time.Minute
)

// A Pruner removes from the embedded cache what is not needed.
type Pruner interface {
	Prune(ctx context.Context, o cache.PruneOptions) (cache.Pruned, error)
	Usage() (cache.Usage, error)
	Free() (uint64, error) // bytes
}

var _ Pruner = (*cache.Cache)(nil)

// retention prunes the cache.
type retention struct {
	cache     Pruner
	config    CacheConfig
	fleet     *Fleet
	toplevels func(proto.HostName) []proto.StorePath // that a host is to run, and was to run before
	rollouts  func() []proto.StorePath               // of those under way
	revisions *keptRevisions
	now       func() time.Time
	log       *slog.Logger

	last atomic.Int64 // when it was pruned whole, in seconds since the epoch; 0 for never

	paths, bytes prometheus.Counter
	prunes       *prometheus.CounterVec
}

func newRetentionMetrics(r *retention, reg prometheus.Registerer) {
	f := promauto.With(reg)
	r.paths = f.NewCounter(prometheus.CounterOpts{
		Name: "kedge_controller_cache_pruned_paths_total", Help: "Store paths that were removed from the embedded cache.",
	})
	r.bytes = f.NewCounter(prometheus.CounterOpts{
		Name: "kedge_controller_cache_pruned_bytes_total", Help: "Bytes of archives that were removed from the embedded cache.",
	})
	r.prunes = f.NewCounterVec(prometheus.CounterOpts{
		Name: "kedge_controller_cache_prunes_total", Help: "How often the embedded cache was pruned, by result.",
	}, []string{"result"})
	for _, result := range []string{resultSucceeded, resultFailed} {
		r.prunes.WithLabelValues(result)
	}
}

// run prunes every hour, and early where room is short, until ctx ends. It waits for
// what hosts say that they run: that must not be removed.
func (r *retention) run(ctx context.Context) error {
	var pruned, early time.Time
	r.fleet.AwaitCaughtUp(ctx)
	for ctx.Err() == nil {
		now := r.now()
		switch {
		case r.short(ctx) && now.Sub(early) >= pruneInterval/6:
			r.prune(ctx, true)
			pruned, early = now, now
		case now.Sub(pruned) >= pruneInterval:
			r.prune(ctx, false)
			pruned = now
		}
		sleep(ctx, roomLook)
	}
	return nil
}

// short reports whether there is less room than there should be.
func (r *retention) short(ctx context.Context) bool {
	free, err := r.cache.Free()
	if err != nil {
		r.log.WarnContext(ctx, "room for the cache is not known", "err", err)
		return false
	}
	return free < r.config.MinFree
}

// prune prunes once. Where room is short only what is needed stays.
func (r *retention) prune(ctx context.Context, short bool) {
	keep, err := r.needed()
	var done cache.Pruned
	if err == nil {
		o := cache.PruneOptions{Keep: keep, Retention: r.config.Retention, Short: short}
		if short {
			o.Retention = 0
		}
		done, err = r.cache.Prune(ctx, o)
	}
	r.paths.Add(float64(done.Paths))
	r.bytes.Add(float64(done.Bytes))
	if err != nil {
		if ctx.Err() == nil {
			r.prunes.WithLabelValues(resultFailed).Inc()
			r.log.WarnContext(ctx, "cache not pruned", "err", err, "again_in", pruneInterval)
		}
		return
	}
	r.prunes.WithLabelValues(resultSucceeded).Inc()
	r.last.Store(r.now().Unix())
	if short && r.short(ctx) {
		r.log.ErrorContext(ctx, "there is little room for the cache, and all that is in it is needed", "min_free", r.config.MinFree)
	}
	if done != (cache.Pruned{}) {
		r.log.InfoContext(ctx, "cache pruned", "systems", done.Systems, "paths", done.Paths, "bytes", done.Bytes, "short", short)
	}
}

// needed returns the systems that must stay: what hosts run, may go back to or are
// to run, if they are not revoked, and what the last revisions and the rollouts under way came to.
func (r *retention) needed() ([]proto.StorePath, error) {
	needed, err := r.revisions.toplevels()
	if err != nil {
		return nil, fmt.Errorf("what the cache has to keep: %w", err)
	}
	seen := map[proto.StorePath]bool{}
	for _, v := range letIn(r.fleet.View().Hosts) {
		needed = append(needed, v.Want.Toplevel)
		needed = append(needed, r.toplevels(v.Host)...)
		if s := v.Status; s != nil {
			needed = append(needed, s.Systems.Toplevel(), s.Systems.Booted, s.Systems.Profile, s.Systems.Proven, s.Deployment.Toplevel)
		}
	}
	needed = append(needed, r.rollouts()...)
	var once []proto.StorePath
	for _, p := range needed {
		if !p.IsZero() && !seen[p] {
			seen[p] = true
			once = append(once, p)
		}
	}
	return once, nil
}

// wireRetention makes what prunes the cache, if somebody can.
func (c *Controller) wireRetention(parts Parts) error {
	if parts.Pruner == nil {
		return nil
	}
	c.retention = &retention{
		cache: parts.Pruner, config: c.o.Config.Cache, fleet: c.fleet, toplevels: c.publisher.Toplevels, rollouts: c.rollouts.toplevels,
		revisions: c.kept, now: c.o.Now, log: c.log,
	}
	newRetentionMetrics(c.retention, c.o.Registry)
	if err := c.o.Registry.Register(newCacheCollector(c.retention)); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	return nil
}

// prune prunes the cache until ctx ends.
func (c *Controller) prune(ctx context.Context) error {
	if c.retention == nil {
		return nil
	}
	return c.retention.run(ctx)
}
