package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kedge/agent/internal/check"
	"kedge/agent/internal/statefile"
	"kedge/agent/internal/systemd"
	"kedge/proto"
)

const boot = "boot-1"

// A host is systemd and the agent's receipts, in the time of the test's bubble.
type host struct {
	mu      sync.Mutex
	start   time.Time
	agent   systemd.Unit
	receipt statefile.Contact
	changed chan struct{}
	// watchErr is why nobody tells of receipts; nil if somebody does.
	watchErr error

	// units returns all but the agent's, at a time since the start.
	units func(at time.Duration) systemd.Units
	// contactAfter is how long after its restart the agent makes contact; zero
	// is never.
	contactAfter time.Duration
	refused      proto.Reason // the agent's refusal; empty if it accepts
	// reconcile is what the agent does when it is asked; nil leaves a receipt.
	reconcile  func(ctx context.Context) error
	asks       int // to read once more
	reads      int
	clock      time.Duration // what is set, of which receipts tell
	stopsAfter time.Duration // the agent ends well, and is not started again
	restartErr error
	restarts   int
	asked      int                 // how often about one unit
	counted    int                 // how often the restarts of all were
	deaf       time.Duration       // systemd does not answer until then
	journal    map[string][]string // systemd's own lines begin with the unit's name
	journalErr error
}

var errDeaf = errors.New("systemd is being re-executed")

func newHost() *host {
	h := &host{
		start:        time.Now(),
		agent:        systemd.Unit{Name: AgentUnit, LoadState: "loaded", ActiveState: systemd.Active, InvocationID: "old"},
		receipt:      statefile.Contact{InvocationID: "old", BootID: boot, Accepted: true},
		changed:      make(chan struct{}, 1),
		contactAfter: time.Second,
	}
	h.units = func(time.Duration) systemd.Units { return nil }
	return h
}

// all returns every unit.
func (h *host) all() (systemd.Units, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := time.Since(h.start)
	if at < h.deaf {
		return nil, errDeaf
	}
	units := h.units(at)
	agent := h.agent // units may have changed it
	if h.stopsAfter > 0 && at >= h.stopsAfter {
		agent.ActiveState, agent.SubState = systemd.Inactive, "dead"
	}
	return append(units, agent), nil
}

func (h *host) Troubled(context.Context) (systemd.Units, error) {
	units, err := h.all()
	h.mu.Lock()
	h.counted++
	h.mu.Unlock()
	return troubled(units), err
}

// Failing knows of no restarts but of those services.
func (h *host) Failing(_ context.Context, restarting ...string) (systemd.Units, error) {
	units, err := h.all()
	for i, u := range units {
		if !slices.Contains(restarting, u.Name) {
			units[i].NRestarts = 0
		}
	}
	return troubled(units), err
}

func troubled(units systemd.Units) systemd.Units {
	return slices.DeleteFunc(units, func(u systemd.Unit) bool {
		return u.ActiveState != systemd.Failed && !u.AutoRestarting() && u.NRestarts == 0
	})
}

func (h *host) Unit(_ context.Context, name string) (systemd.Unit, error) {
	units, err := h.all()
	if err != nil {
		return systemd.Unit{}, err
	}
	h.mu.Lock()
	h.asked++
	h.mu.Unlock()
	if u, ok := units.Find(name); ok {
		return u, nil
	}
	return systemd.Unit{Name: name, LoadState: "not-found", ActiveState: systemd.Inactive, SubState: "dead"}, nil
}

func (h *host) RestartUnit(ctx context.Context, name string) error {
	if name != AgentUnit {
		return fmt.Errorf("restart of %s", name)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.restarts++
	if h.restartErr != nil {
		return h.restartErr
	}
	h.begin(ctx)
	return nil
}

// begin starts a new agent; h.mu is held.
func (h *host) begin(ctx context.Context) {
	id := fmt.Sprintf("agent at %v", time.Since(h.start))
	h.agent.InvocationID, h.agent.ActiveState, h.agent.SubState = id, systemd.Active, "running"
	if h.contactAfter > 0 {
		go h.contact(ctx, id, h.contactAfter)
	}
}

// contact writes the receipt of the agent's invocation after a while.
func (h *host) contact(ctx context.Context, id string, after time.Duration) {
	if pause(ctx, after) != nil {
		return
	}
	h.leave(id)
}

// leave writes a receipt of the agent's invocation.
func (h *host) leave(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reads++
	h.receipt = statefile.Contact{
		InvocationID: id, BootID: boot, Accepted: h.refused == "", Reason: h.refused, At: h.start.Add(h.clock + time.Duration(h.reads)),
	}
	select {
	case h.changed <- struct{}{}:
	default:
	}
}

// Reconcile is the agent's answer.
func (h *host) Reconcile(ctx context.Context) error {
	h.mu.Lock()
	h.asks++
	id, reconcile := h.agent.InvocationID, h.reconcile
	h.mu.Unlock()
	if reconcile != nil {
		return reconcile(ctx)
	}
	h.leave(id)
	return nil
}

// Journal has all lines at the start: a query of later ones finds none.
func (h *host) Journal(_ context.Context, q systemd.JournalQuery) ([]string, error) {
	if q.Since.After(h.start) {
		return nil, nil
	}
	lines := slices.Clone(h.journal[q.Unit])
	if q.BySystemd {
		lines = slices.DeleteFunc(lines, func(l string) bool { return !strings.HasPrefix(l, q.Unit+": ") })
	}
	if over := len(lines) - q.Lines; over > 0 {
		lines = lines[over:]
	}
	return lines, h.journalErr
}

func (h *host) Contact() (statefile.Contact, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.receipt, nil
}

func (h *host) WatchContact(context.Context) (<-chan struct{}, error) {
	if h.watchErr != nil {
		return nil, h.watchErr
	}
	return h.changed, nil
}

func (h *host) judge(t *testing.T) Judge {
	return Judge{
		Units: h, Receipts: h, Agent: h, Checks: &check.Runner{Units: h}, BootID: boot, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Now: h.now,
	}
}

// now is what the clock shows.
func (h *host) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Now().Add(h.clock)
}

// setClock has somebody set the clock by that much, after a while.
func (h *host) setClock(after, by time.Duration) {
	time.AfterFunc(after, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.clock = by
	})
}

// Units in states, as systemd describes them.
func active(name string) systemd.Unit {
	return systemd.Unit{Name: name, LoadState: "loaded", ActiveState: systemd.Active, SubState: "running"}
}

func failed(name string) systemd.Unit {
	return systemd.Unit{Name: name, LoadState: "loaded", ActiveState: systemd.Failed, SubState: "failed", Result: "exit-code", ExecMainStatus: 1}
}

func autoRestarting(name string, status int32) systemd.Unit {
	u := systemd.Unit{Name: name, LoadState: "loaded", ActiveState: systemd.Activating, SubState: "auto-restart", ExecMainStatus: status, Result: "success"}
	if status != 0 {
		u.Result = "exit-code"
	}
	return u
}

func transient(u systemd.Unit) systemd.Unit {
	u.Transient = true
	return u
}

// always has these units the whole time.
func always(units ...systemd.Unit) func(time.Duration) systemd.Units {
	return func(time.Duration) systemd.Units { return append(systemd.Units(nil), units...) }
}

// from has before until the time at, and after from then on.
func from(at time.Duration, before, after systemd.Unit) func(time.Duration) systemd.Units {
	return func(now time.Duration) systemd.Units {
		if now < at {
			return systemd.Units{before}
		}
		return systemd.Units{after}
	}
}

// restartsEvery has a unit that runs, and was restarted each period.
func restartsEvery(period time.Duration, name string) func(time.Duration) systemd.Units {
	return func(at time.Duration) systemd.Units {
		u := active(name)
		u.NRestarts = 1 + uint32(at/period)
		return systemd.Units{u}
	}
}
