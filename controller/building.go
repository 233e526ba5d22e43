package controller

import (
	"context"
	"fmt"
	"maps"
	"net/http"

	"golang.org/x/sync/errgroup"

	"kedge/controller/internal/hook"
)

// wireChannels makes what turns revisions into releases, for every channel.
func (c *Controller) wireChannels(parts Parts, m *metrics) error {
	channels := channelStore{dir: c.path(channelsDir), shared: c.shared}
	for name, src := range parts.Sources {
		c.fleet.Looked(sourceStatus(name, src))
		had, err := channels.Load(name)
		if err != nil {
			return err
		}
		if had.Hosts != nil {
			c.fleet.Claim(name, had.Hosts)
		}
		c.fleet.PushedOver(name, had.PushedOver)
		log := c.log.With("channel", name)
		c.pipelines[name] = NewPipeline(PipelineOptions{
			Channel: name, Source: src, Fleet: c.fleet, Poll: c.o.Config.Sources[name].Poll, Now: c.o.Now, Log: log,
			Deployer: &deployer{
				channel: name, source: src, builder: parts.Builder, logs: c.logs, cache: parts.Cache, kept: c.kept, runner: c.rollouts.runners[name],
				differ: differ{closures: parts.Cache, fleet: c.fleet, log: log}, fleet: c.fleet, claims: channels, hosts: c.o.Config.Sources[name].Hosts, record: had, redo: c.redo, metrics: m, now: c.o.Now, log: log,
			},
		})
	}
	c.sources = parts.Sources
	c.webhooks = c.hooks(m)
	return nil
}

// build runs the pipelines until ctx ends.
func (c *Controller) build(ctx context.Context) error {
	return c.eachChannel(ctx, func(ctx context.Context, channel string) error { return c.pipelines[channel].Run(ctx) })
}

// watchSources watches for pushes until ctx ends.
func (c *Controller) watchSources(ctx context.Context) error {
	return c.eachChannel(ctx, func(ctx context.Context, channel string) error {
		return c.sources[channel].Watch(ctx, c.pipelines[channel].Trigger)
	})
}

// eachChannel runs do for all channels side by side.
func (c *Controller) eachChannel(ctx context.Context, do func(ctx context.Context, channel string) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for channel := range maps.Keys(c.pipelines) {
		g.Go(func() error {
			if err := do(ctx, channel); err != nil {
				return fmt.Errorf("channel %s: %w", channel, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// hooks serves the webhooks of the channels.
func (c *Controller) hooks(m *metrics) http.Handler {
	hooks := map[string]hook.Hook{}
	for name, p := range c.pipelines {
		src := c.o.Config.Sources[name]
		if w := src.Webhook; w.Kind != "" {
			hooks[name] = hook.Hook{Kind: w.Kind, SecretFile: w.SecretFile, Header: w.Header, Branch: src.Branch, Look: p.Trigger}
			for _, r := range hook.Results() {
				m.webhooks.WithLabelValues(name, string(r))
			}
		}
	}
	return hook.NewHandler(hook.Options{Hooks: hooks, Log: c.log, Count: func(channel string, r hook.Result) {
		m.webhooks.WithLabelValues(channel, string(r)).Inc()
	}})
}

// redo has channels begin anew with their newest revisions.
func (c *Controller) redo(channels []string) {
	for _, name := range channels {
		c.pipelines[name].Redo()
	}
}

// trigger returns what makes the pipelines look at their sources; nil without any.
func (c *Controller) trigger() func() {
	if len(c.pipelines) == 0 {
		return nil
	}
	return func() {
		for _, p := range c.pipelines {
			p.Trigger()
		}
	}
}
