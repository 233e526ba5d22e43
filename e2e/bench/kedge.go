package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"kedge/e2e/fleet"
	"kedge/proto"
)

// measureKedge pushes the change. The clock starts right before `git push`. A
// host has committed when its record on disk says so, which is seen at once; the
// controller hears of it some milliseconds later. Records are looked at only when all
// hosts answer: there are more changes of them than processors for it until then.
func (b *bench) measureKedge(ctx context.Context, c change) (round, error) {
	var answered []time.Time
	g, waiting := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		answered, err = c.answers(waiting)
		return err
	})
	before, err := c.cpuTime()
	if err != nil {
		return round{}, err
	}
	pushed := time.Now()
	g.Go(func() error { return b.fleet.PushCommitted(waiting) })
	if err := g.Wait(); err != nil {
		return round{}, err
	}
	records, err := c.commits(ctx)
	if err != nil {
		return round{}, err
	}
	committed := time.Now()
	after, err := c.cpuTime()
	if err != nil {
		return round{}, err
	}

	last := slices.MaxFunc(answered, time.Time.Compare)
	slowest := slices.Index(answered, last)
	stages, err := b.stages(ctx, pushed, c.revision)
	if err != nil {
		return round{}, err
	}
	parts, err := stages.parts(c.hosts[slowest], records[slowest])
	if err != nil {
		return round{}, err
	}
	return round{
		activated: last.Sub(pushed),
		committed: committed.Sub(pushed),
		lag:       slices.Max(lags(records)),
		cpu:       after - before,
		parts:     parts,
	}, nil
}

// commits waits until every host has committed the change, and returns their
// records, in the order of the hosts.
func (c change) commits(ctx context.Context) ([]fleet.Record, error) {
	records := make([]fleet.Record, len(c.hosts))
	g, ctx := errgroup.WithContext(ctx)
	for i, h := range c.hosts {
		g.Go(func() error {
			r, err := h.AwaitRecord(ctx, "the end of the deployment", func(r fleet.Record) bool {
				return r.Revision == c.revision && r.Phase.Terminal()
			})
			if err == nil && r.Phase != proto.PhaseCommitted {
				err = fmt.Errorf("%s: %s instead of committed: %s: %s", h.Name(), r.Phase, r.Reason, r.Message)
			}
			records[i] = r
			return err
		})
	}
	return records, g.Wait()
}

// lags returns how long after the grace period each host committed. The systems
// declare no checks of their own, so there is nothing else to wait for.
func lags(records []fleet.Record) []time.Duration {
	var lags []time.Duration
	for _, r := range records {
		due := r.Entered(proto.PhaseProbation).Add(r.Probation.Grace)
		lags = append(lags, r.Entered(proto.PhaseCommitted).Sub(due))
	}
	return lags
}
