package controller

import (
	"context"
	"time"

	"kedge/controller/internal/sign"
	"kedge/proto"
)

// wireRollouts makes what carries rollouts out, for every channel, and takes up what was
// durable.
func (c *Controller) wireRollouts(parts Parts, signer *sign.Signer, h history) error {
	held, err := openHolds(c.path(holdsFile), c.shared)
	if err != nil {
		return err
	}
	store := rolloutStore{dir: c.path(rolloutsDir), shared: c.shared, log: c.log}
	audit := func(ctx context.Context, e proto.AuditEntry) {
		if err := h.Audit(ctx, e); err != nil { // what was done is durable elsewhere
			c.log.WarnContext(ctx, "audit entry lost", "act", e.Act, "host", e.Host, "err", err)
		}
	}
	c.rollouts = &rollouts{runners: map[string]*runner{}, holds: held, fleet: c.fleet, audit: audit, now: c.o.Now, log: c.log}
	for channel := range parts.Sources {
		r := &runner{
			releaser: releaser{signer, c.publisher}, channel: channel, own: c.o.Config.Rollout.own(), closures: parts.Cache, roots: parts.Builder, fleet: c.fleet,
			heard: c.heard, saver: store, holds: held, audit: audit, now: c.o.Now, log: c.log.With("channel", channel),
			rounds: make(chan struct{}, 1),
		}
		current, found, past, err := store.Load(channel)
		if err != nil {
			return err
		}
		if found {
			r.resume(current, past)
		}
		c.rollouts.runners[channel] = r
	}
	return nil
}

// heard returns since when hosts are listened to without a break.
func (c *Controller) heard() time.Time {
	s := c.conn.State()
	return listening(c.fleet.started, c.o.Now(), s.Since, s.Connected)
}
