package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"

	"kedge/proto"
)

// View returns the host as the controller sees it.
func (h *Host) View(ctx context.Context) (proto.HostView, error) {
	out, err := h.fleet.Kedge(ctx, "status", h.Name(), "--json")
	if err != nil {
		return proto.HostView{}, err
	}
	var r proto.HostReply
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		return proto.HostView{}, fmt.Errorf("read what `kedge status` said: %w", err)
	}
	return r.Host, nil
}

// lookInterval is between two looks at what nobody tells of.
const lookInterval = 2 * time.Second

// AwaitPhase waits until the controller reports that the host's deployment of
// rev is in one of the phases, and returns the host as it was then.
func (h *Host) AwaitPhase(ctx context.Context, rev proto.Revision, phases ...proto.Phase) (proto.HostView, error) {
	return h.AwaitView(ctx, fmt.Sprintf("revision %s to be %v", rev.Short(), phases), func(v proto.HostView) bool {
		return v.Status != nil && v.Status.Deployment.Revision == rev && slices.Contains(phases, v.Status.Deployment.Phase)
	})
}

// AwaitView waits until the controller's view of the host is ok. It sees every change, as
// `kedge status --watch` does, and looks every now and then at what changes with time alone.
func (h *Host) AwaitView(ctx context.Context, what string, ok func(proto.HostView) bool) (last proto.HostView, err error) {
	following, stop := context.WithCancel(ctx)
	views, failed := follow[proto.HostReply](following, h.fleet, "status", h.Name(), "--watch", "--json")
	defer func() {
		stop()
		for range views { // until it has ended
		}
	}()
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for {
		select {
		case r, open := <-views:
			if open {
				last = r.Host
			}
		case <-tick.C:
			if v, err := h.View(ctx); err == nil {
				last = v
			}
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			seen, err := json.MarshalIndent(last, "", "  ")
			return last, errors.Join(fmt.Errorf("%s: wait for %s: %w; last seen: %s", h.Name(), what, context.Cause(ctx), seen), failed(), err)
		}
		if last.Host.String() == h.Name() && ok(last) {
			return last, nil
		}
	}
}

// A Record is the part of the agent's record that scenarios look at.
type Record struct {
	ID       string          `json:"id"`
	Serial   proto.Serial    `json:"serial"`
	Toplevel proto.StorePath `json:"toplevel"`
	Revision proto.Revision  `json:"revision"`
	Phase    proto.Phase     `json:"phase"`
	Reason   proto.Reason    `json:"reason"`
	Message  string          `json:"message"`
	Attempt  int             `json:"attempt"`
	History  []Step          `json:"history"`

	Probation struct {
		Grace time.Duration `json:"grace"`
	} `json:"probation"`
}

// A Step is one phase that a deployment entered.
type Step struct {
	Phase proto.Phase `json:"phase"`
	Time  time.Time   `json:"time"`
}

// Entered returns when the deployment entered a phase; zero if it did not.
func (r Record) Entered(p proto.Phase) time.Time {
	for _, s := range r.History {
		if s.Phase == p {
			return s.Time
		}
	}
	return time.Time{}
}

const stateDir = "/var/lib/kedge"

// Record reads the record on the host's disk; the zero Record if there is none.
func (h *Host) Record() (Record, error) {
	b, err := h.ReadFile(stateDir + "/deployment.json")
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, nil
	}
	if err != nil {
		return Record{}, err
	}
	var r Record
	if err := json.Unmarshal(b, &r); err != nil {
		return Record{}, fmt.Errorf("%s: read record: %w", h.Name(), err)
	}
	return r, nil
}

// AwaitRecord waits until the record on the host's disk is ok. It sees a
// change at once, so that a scenario can act right then.
func (h *Host) AwaitRecord(ctx context.Context, what string, ok func(Record) bool) (Record, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return Record{}, fmt.Errorf("watch the record: %w", err)
	}
	defer func() { _ = w.Close() }() // nothing was written through it
	if err := w.Add(filepath.Join(h.Root(), stateDir)); err != nil {
		return Record{}, fmt.Errorf("watch the record: %w", err)
	}
	for {
		r, err := h.Record()
		if err == nil && ok(r) {
			return r, nil
		}
		select {
		case <-w.Events:
		case <-ctx.Done():
			return r, errors.Join(fmt.Errorf("%s: wait for %s: %w; the record: %+v", h.Name(), what, context.Cause(ctx), r), err)
		}
	}
}
