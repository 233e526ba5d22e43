package controller

import (
	"context"

	"kedge/proto"
)

// wirePipeline makes what turns revisions into releases.
func (c *Controller) wirePipeline(parts Parts, m *metrics) {
	c.fleet.Looked(proto.SourceStatus{URL: parts.Source.URL(), Branch: parts.Source.Branch()})
	c.pipeline = NewPipeline(PipelineOptions{
		Source: parts.Source, Fleet: c.fleet, Poll: c.o.Config.Source.Poll, Now: c.o.Now, Log: c.log,
		Deployer: &deployer{
			source: parts.Source, builder: parts.Builder, cache: parts.Cache, runner: c.runner,
			fleet: c.fleet, metrics: m, now: c.o.Now, log: c.log,
		},
	})
	c.watch = func(ctx context.Context) error {
		if parts.Watch == nil {
			return nil // pushes are found by polling, and by `kedge reconcile`
		}
		return parts.Watch(ctx, c.pipeline.Trigger)
	}
}

// build runs the pipeline until ctx ends, if there is one.
func (c *Controller) build(ctx context.Context) error {
	if c.pipeline == nil {
		return nil
	}
	return c.pipeline.Run(ctx)
}

// watchSource watches for pushes until ctx ends, if there is somebody to tell.
func (c *Controller) watchSource(ctx context.Context) error {
	if c.watch == nil {
		return nil
	}
	return c.watch(ctx)
}

// trigger returns what makes the pipeline look at its source; nil without one.
func (c *Controller) trigger() func() {
	if c.pipeline == nil {
		return nil
	}
	return c.pipeline.Trigger
}
