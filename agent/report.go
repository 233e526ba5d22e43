package agent

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"kedge/agent/internal/outbox"
	"kedge/proto"
	"kedge/proto/bus"
)

// Intervals of the reporter.
const (
	publishTimeout = 10 * time.Second
	publishRetry   = 5 * time.Second
	// publishPause is between two statuses: what changes at once is told at once,
	// what goes on changing a moment later, and together. Each costs this host a
	// millisecond of processor time, and the controller as much.
	publishPause = 500 * time.Millisecond
	// decidePatience is how long a status is held back until it is decided what to do
	// about what is desired, which as a rule is at once.
	decidePatience = time.Second
)

// note hands an event that is no step of a deployment to the outbox.
func (a *Agent) note(e proto.Event) error {
	e.ID, e.Host, e.Time = rand.Text(), a.Config.Host, a.Now()
	return a.Outbox.Add(e)
}

// drainOutbox publishes events, in order, each until it is acknowledged. What it
// leaves of the steps of a deployment that rests it keeps, and at its end those of any.
func (a *Agent) drainOutbox(ctx context.Context) error {
	var unkept complaints
	keep := func() (done bool) {
		err := a.keepSteps()
		if err != nil {
			unkept.log(ctx, a.Log, slog.LevelWarn, "steps that were not reported yet are kept in the record alone", err)
		}
		return err == nil
	}
	defer keep()
	for {
		state, changed := a.Link.Watch()
		retry := (<-chan time.Time)(nil)
		more := false // was added since, and is published at once
		if state.Connected && !a.Keeper.State().Imposter() {
			err := a.Outbox.Drain(ctx, a.publishEvent)
			if more = err == nil && a.Outbox.Len() > 0; err == nil && !more {
				ring(a.told)
			}
			if err != nil && ctx.Err() == nil {
				a.Log.DebugContext(ctx, "events could not be published and are kept", "err", err)
				retry = time.After(jitter(publishRetry))
			}
		}
		if a.reported.resting() && !more && !keep() {
			retry = time.After(jitter(publishRetry))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-a.Outbox.Added():
		case <-changed:
		case <-retry:
		}
	}
}

// publishEvent has only what will never fit discarded. A permission that is
// missing may come back: until then the outbox bounds what is kept.
func (a *Agent) publishEvent(ctx context.Context, e proto.Event) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	_, err := a.Bus.PublishEvent(ctx, e)
	if errors.Is(err, bus.ErrTooLarge) {
		return fmt.Errorf("%w: %w", outbox.ErrDiscard, err)
	}
	return err
}

// reportStatus publishes the status whenever it changed, on every connection,
// and every poll interval; of what is desired, when it is decided what to do.
func (a *Agent) reportStatus(ctx context.Context) error {
	var last []byte
	var connects uint64
	var decide <-chan time.Time // nil unless a decision is waited for
	late := false
	tick := time.NewTicker(jitter(pollInterval))
	defer tick.Stop()
	for {
		state, changed := a.Link.Watch()
		if state.Connects != connects {
			connects, last = state.Connects, nil
		}
		retry := (<-chan time.Time)(nil)
		if a.look().decidedOnDesired() {
			decide, late = nil, false
		} else if decide == nil {
			decide = time.After(decidePatience)
		}
		if state.Connected && !a.Keeper.State().Imposter() && (decide == nil || late) {
			published, err := a.publishStatus(ctx, last)
			if err != nil && ctx.Err() == nil {
				a.Log.DebugContext(ctx, "status could not be published", "err", err)
				retry = time.After(jitter(publishRetry))
			}
			last = published
			select {
			case <-time.After(publishPause):
			case <-ctx.Done():
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-a.report:
		case <-changed:
		case <-retry:
		case <-decide:
			late = true
		case <-tick.C:
			last = nil
		}
	}
}

// publishStatus publishes the status unless it says the same as last, and
// returns what it says.
func (a *Agent) publishStatus(ctx context.Context, last []byte) ([]byte, error) {
	s := a.Status()
	said, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode status: %w", err)
	}
	if string(said) == string(last) {
		return last, nil
	}
	s.Time = a.Now()
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	if err := a.Bus.PublishStatus(ctx, s); err != nil {
		return nil, err
	}
	return said, nil
}

// heartbeat says from time to time that the agent lives.
func (a *Agent) heartbeat(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		timer.Reset(jitter(proto.HeartbeatInterval))
		if a.Keeper.State().Imposter() {
			continue // the other one speaks
		}
		h := proto.Heartbeat{Host: a.Config.Host, Time: a.Now(), BootID: a.Identity.BootID}
		if o := a.look().order; o != nil {
			h.Serial = o.Assignment.Serial
		}
		if err := a.Bus.Heartbeat(ctx, h); err != nil && ctx.Err() == nil {
			a.Log.DebugContext(ctx, "heartbeat not sent", "err", err)
		}
	}
}
