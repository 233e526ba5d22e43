package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kedge/agent/internal/statefile"
	"kedge/proto"
	"kedge/proto/bus"
)

// outputsMaxRetry is the longest pause before the outputs are sent again that could not be.
const outputsMaxRetry = 10 * time.Minute

// sendOutputs sends what activations said, the oldest first, once their deployment rests
// and its events are told. Nothing waits for that: what is forgotten meanwhile, or goes
// with the boot, is not sent. Each is forgotten once the controller's server has it; after
// a crash before that it goes out twice, as the same.
func (a *Agent) sendOutputs(ctx context.Context) error {
	var next proto.Log // what is sent first; of others, all parts are
	tries := 0
	for {
		state, changed := a.Link.Watch()
		retry := (<-chan time.Time)(nil)
		if state.Connected && !a.Keeper.State().Imposter() && a.toldAll() {
			err := a.sendKept(ctx, &next)
			if err != nil && ctx.Err() == nil {
				tries++
				delay := jitter(backoff(publishRetry, outputsMaxRetry, tries))
				a.Log.DebugContext(ctx, "outputs of activations could not be sent and are kept", "try", tries, "delay", delay, "err", err)
				retry = time.After(delay)
			} else {
				tries = 0
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-a.told:
		case <-changed:
		case <-retry:
		}
	}
}

// toldAll reports whether no transaction runs, or is about to, and the events are
// published of all that there were.
func (a *Agent) toldAll() bool {
	d, err := a.Files.Deployment()
	return err == nil && !d.InTransaction() && !d.Fetched() && a.reported.has(d) && a.Outbox.Len() == 0
}

// sendKept sends the outputs that are kept. next is the first part of the first one that
// is not sent yet.
func (a *Agent) sendKept(ctx context.Context, next *proto.Log) error {
	outputs, err := a.Files.Outputs()
	if err != nil {
		return err
	}
	for _, o := range outputs {
		for _, l := range a.logOf(o).Split() {
			if l.Time.Equal(next.Time) && l.Part < next.Part {
				continue
			}
			*next = l
			if err := a.publishLog(ctx, l); err != nil {
				return fmt.Errorf("deployment %s, part %d of %d: %w", l.Deployment, l.Part, l.Parts, err)
			}
		}
		if err := a.Files.TakeOutput(o); err != nil {
			return err
		}
	}
	return nil
}

// publishLog takes as sent what will never fit.
func (a *Agent) publishLog(ctx context.Context, l proto.Log) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	err := a.Bus.PublishLog(ctx, l)
	if errors.Is(err, bus.ErrTooLarge) || errors.Is(err, proto.ErrOversized) {
		return nil
	}
	return err
}

func (a *Agent) logOf(o statefile.Output) proto.Log {
	return proto.Log{
		Host: a.Config.Host, Deployment: o.Deployment, Toplevel: o.Toplevel, Phase: o.Phase, Mode: o.Mode, Time: o.Time, Text: o.Text, Cut: o.Cut,
	}
}
