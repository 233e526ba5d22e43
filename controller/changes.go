package controller

import (
	"context"
	"log/slog"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"kedge/controller/internal/cache"
	"kedge/controller/internal/diff"
	"kedge/proto"
)

// compareTimeout bounds how long hosts wait for what changes to be told: it is for
// people, and they can do without.
const compareTimeout = 30 * time.Second

// differ tells what toplevels have otherwise than what hosts run.
type differ struct {
	closures closureLister
	fleet    *Fleet
	log      *slog.Logger
}

// compare shows how toplevels, whose closures are known, differ from what their hosts
// run. Where that cannot be told nothing is shown.
func (d differ) compare(ctx context.Context, toplevels map[proto.HostName]proto.StorePath, closures cache.Closures) {
	ctx, cancel := context.WithTimeout(ctx, compareTimeout)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(runtime.NumCPU())
	for host, toplevel := range toplevels {
		group.Go(func() error {
			d.compareOne(ctx, host, toplevel, closures[toplevel])
			return nil
		})
	}
	_ = group.Wait() // none fails
}

// compareOne returns what it shows of one host; nil if that is nothing new.
func (d differ) compareOne(ctx context.Context, host proto.HostName, to proto.StorePath, closure proto.Closure) *proto.Changes {
	r, _ := d.fleet.Host(host)
	for _, from := range before(r.Host) {
		if from == to {
			return nil
		}
		known, err := d.closures.Closures(ctx, from)
		if err != nil {
			d.log.DebugContext(ctx, "closure not compared", "host", host, "toplevel", from, "err", err)
			continue
		}
		changes := diff.Between(from, to, known[from], closure)
		if changes.Boot, err = diff.Boot(proto.StoreDir, from, to); err != nil {
			d.log.DebugContext(ctx, "need of a reboot not told", "host", host, "toplevel", from, "err", err)
		}
		d.fleet.Change(host, changes)
		return &changes
	}
	return nil
}

// before returns what a host may be compared with, the best first: what it runs, as
// far as it says so, and what it was assigned.
func before(v proto.HostView) []proto.StorePath {
	var found []proto.StorePath
	if v.Status != nil && !v.Status.Systems.Toplevel().IsZero() {
		found = append(found, v.Status.Systems.Toplevel())
	}
	if !v.Want.Toplevel.IsZero() {
		found = append(found, v.Want.Toplevel)
	}
	return found
}
