package agent_test

import (
	"context"
	"errors"
	"time"

	"kedge/agent"
	"kedge/agent/internal/closure"
	"kedge/agent/internal/credentials"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/hook"
	"kedge/agent/internal/statefile"
	"kedge/agent/internal/tidy"
	"kedge/proto"
	"kedge/proto/bus"
)

// What a world is to its agent.

func (w *world) Doorbell() <-chan struct{} { return w.bell }

func (w *world) Desired(ctx context.Context) (bus.Raw, error) {
	w.mu.Lock()
	silent := w.silent
	w.mu.Unlock()
	if silent {
		<-ctx.Done()
		return bus.Raw{}, ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reads++
	close(w.changed)
	w.changed = make(chan struct{})
	if w.unread != nil {
		return bus.Raw{}, w.unread
	}
	if w.desired == nil {
		return bus.Raw{}, bus.ErrNoDesired
	}
	return bus.Raw{Data: w.desired, Seq: 1}, nil
}

func (w *world) PublishStatus(_ context.Context, s proto.Status) error {
	w.change(func() { w.statuses = append(w.statuses, s) })
	return nil
}

func (w *world) PublishEvent(_ context.Context, e proto.Event) (uint64, error) {
	w.mu.Lock()
	untold := w.untold
	w.mu.Unlock()
	if untold != nil {
		return 0, untold
	}
	w.change(func() {
		w.events = append(w.events, e)
		if w.published != nil {
			w.published()
		}
	})
	return 1, nil
}

func (w *world) PublishLog(_ context.Context, l proto.Log) error {
	w.mu.Lock()
	untold := w.unlogged
	w.mu.Unlock()
	if untold != nil {
		if err := untold(l); err != nil {
			return err
		}
	}
	w.change(func() { w.logs = append(w.logs, l) })
	return nil
}

func (w *world) Heartbeat(context.Context, proto.Heartbeat) error { return nil }

func (w *world) Watch() (bus.State, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bus.State{Connected: !w.offline, Connects: w.connects}, w.linked
}

func (w *world) AwaitConnected(ctx context.Context) error {
	for {
		state, changed := w.Watch()
		if state.Connected {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (w *world) Keep(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (w *world) State() credentials.State {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.held
}

func (w *world) Fetch(ctx context.Context, o closure.FetchOrder) (agent.Fetched, error) {
	w.mu.Lock()
	fetch := w.fetch
	got := w.fetched
	got.Probation, got.Reboot, got.Inhibitors = deployment.Probation{Grace: time.Second, Deadline: time.Minute}, w.reboot, w.inhibits
	w.mu.Unlock()
	return got, fetch(ctx, o)
}

// Examine is as Fetch, for what is here: everything but what absent names.
func (w *world) Examine(_ context.Context, toplevel proto.StorePath) (agent.Fetched, error) {
	if w.examined != nil {
		w.examined()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if toplevel == w.absent {
		err := errors.New("it is not here")
		if w.gone {
			err = closure.ErrGone
		}
		return agent.Fetched{}, &closure.Rejection{Reason: proto.ReasonFetchFailed, Err: err}
	}
	got := w.fetched
	got.Probation, got.Inhibitors = deployment.Probation{Grace: time.Second, Deadline: time.Hour}, w.inhibits
	return got, nil
}

func (w *world) GiveUp() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.givenUp++
	return nil
}

func (w *world) Registered(number proto.Generation) (proto.StorePath, error) {
	return map[proto.Generation]proto.StorePath{1: pathA, 2: pathB, 3: pathC, 8: pathB}[number], nil
}

func (w *world) Switching() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.switching
}

func (w *world) RebootPending() ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.systems.Current == w.systems.Booted {
		return nil, nil
	}
	return w.reboot, nil
}

// Run is of the hooks.
func (w *world) Run(ctx context.Context, c hook.Call) error {
	w.change(func() { w.calls = append(w.calls, c) })
	if w.hook == nil {
		return nil
	}
	return w.hook(ctx, c)
}

func (w *world) Prune(ctx context.Context, d deployment.Deployment) ([]proto.Generation, error) {
	var prune func(ctx context.Context, d deployment.Deployment) ([]proto.Generation, error)
	w.change(func() { w.pruned, prune = append(w.pruned, d), w.prune })
	if prune == nil {
		return nil, nil
	}
	return prune(ctx, d)
}

func (w *world) Collect(ctx context.Context) error {
	var collect func(ctx context.Context) error
	w.change(func() { w.collects, collect = w.collects+1, w.collect })
	if collect == nil {
		return nil
	}
	return collect(ctx)
}

func (w *world) Collected() tidy.Collected {
	return tidy.Collected{Freed: 7 << 20, Failures: 2, Last: time.Unix(5, 0)}
}

func (w *world) Vetoes(context.Context) (live, reboot []statefile.Veto, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.vetoed++
	return w.live, w.reboots, w.deaf
}

func (w *world) Live() bool { return !w.inhibitReboots }

func (w *world) Ensure(_ context.Context, d deployment.Deployment) error {
	w.change(func() { w.ensured = append(w.ensured, d) })
	return nil
}

func (w *world) Systems() (proto.Systems, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++
	return w.systems, w.unseen
}

func (w *world) Adopt(p deployment.Proven) error { return w.files.SaveProven(p) }
