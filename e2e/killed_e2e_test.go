//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// TestTransactionKilledAtEveryBorder ends the agent, the transaction or the whole host as
// it enters each phase of a good and of a bad deployment. Each time the host
// ends on the proven system or on the new one, committed; then the next
// deployment works.
func TestTransactionKilledAtEveryBorder(t *testing.T) {
	t.Parallel()
	kills := map[string]kill{"agent": killAgent, "transact": killTransaction, "power": cutPower}
	f := up(t, "agent", "transact", "power")
	installed := map[string]toplevel.Host{} // without what earlier rounds added
	for _, phase := range slices.Concat(goodWay(), badWay()) {
		broken := slices.Contains(badWay(), phase)
		text := fmt.Sprintf("killed at %s", phase)
		t.Log(text)
		before := map[string]string{}
		for _, h := range f.Hosts() {
			before[h.Name()] = h.MustFacts(t).App
		}
		rev := f.MustPush(t, text, func(w *toplevel.Fleet) {
			if len(installed) == 0 {
				maps.Copy(installed, w.Hosts)
			}
			maps.Copy(w.Hosts, installed)
			fleet.Edit(w, fleet.App(text))
			if broken {
				fleet.Edit(w, fleet.AddUnit("broken.service", toplevel.FailsToStart("no")))
			}
			if linger, lasts := lasting()[phase]; lasts {
				fleet.Edit(w, linger)
			}
		})
		done := make(chan error, len(kills))
		for name, kill := range kills {
			h := f.Host(name)
			go func() { done <- killAt(t, h, rev, phase, kill) }()
		}
		for range kills {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		for _, h := range f.Hosts() {
			v := h.MustAwaitPhase(t, rev, proto.PhaseCommitted, proto.PhaseRolledBack)
			got := v.Status.Deployment.Phase
			facts := h.MustFacts(t)
			if broken && got != proto.PhaseRolledBack || !broken && got != proto.PhaseCommitted {
				t.Errorf("%s killed at %s: ended %s because of %s: %s", h.Name(), phase, got, v.Status.Deployment.Reason, v.Status.Deployment.Message)
			}
			want := text
			if broken {
				want = before[h.Name()]
			}
			if !facts.One() || facts.App != want {
				t.Errorf("%s killed at %s: %+v, want %q and everything the same", h.Name(), phase, facts, want)
			}
		}
		if t.Failed() {
			t.FailNow()
		}
	}
}

// goodWay and badWay are the phases at whose beginning something is killed.
func goodWay() []proto.Phase {
	return []proto.Phase{
		proto.PhaseAccepted, proto.PhaseFetched, proto.PhaseActivating, proto.PhaseProbation, proto.PhaseCommitting, proto.PhaseCommitted,
	}
}

func badWay() []proto.Phase { return []proto.Phase{proto.PhaseRollingBack, proto.PhaseRolledBack} }

// lasting has, for each phase that can be made to last until something is
// killed, what makes a system linger in it. The others last some milliseconds.
func lasting() map[proto.Phase]func(h *toplevel.Host) {
	return map[proto.Phase]func(h *toplevel.Host){
		proto.PhaseActivating:  fleet.AddUnit("slow.service", toplevel.StartsSlowly(slowStart)),
		proto.PhaseProbation:   fleet.Config("grace: 1s", "grace: "+slowStart.String()),
		proto.PhaseRollingBack: fleet.AddUnit("stubborn.service", toplevel.IgnoresStop(slowStart)),
	}
}

// from returns p and the phases after it.
func from(p proto.Phase) []proto.Phase {
	for _, way := range [][]proto.Phase{goodWay(), badWay()} {
		if i := slices.Index(way, p); i >= 0 {
			return way[i:]
		}
	}
	return nil
}

// killAt kills as soon as the host's record of rev is in phase, or has left it.
// A phase that lasts must be hit.
func killAt(t *testing.T, h *fleet.Host, rev proto.Revision, phase proto.Phase, kill kill) error {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	r, err := h.AwaitRecord(ctx, fmt.Sprintf("%s to be %s", rev.Short(), phase), func(r fleet.Record) bool {
		return r.Revision == rev && slices.Contains(from(phase), r.Phase)
	})
	if err != nil {
		return err
	}
	hit, err := kill(ctx, h, r)
	if err != nil {
		return fmt.Errorf("kill at %s on %s: %w", phase, h.Name(), err)
	}
	t.Logf("%s: killed at %s", h.Name(), hit)
	if _, lasts := lasting()[phase]; lasts && hit != phase {
		return fmt.Errorf("kill at %s on %s: it was %s already", phase, h.Name(), hit)
	}
	return nil
}

// A kill ends something on a host whose record is r, and returns the phase that
// it found the deployment in.
type kill func(ctx context.Context, h *fleet.Host, r fleet.Record) (hit proto.Phase, err error)

func killAgent(ctx context.Context, h *fleet.Host, _ fleet.Record) (proto.Phase, error) {
	// In the middle of its restart there is no process of it.
	if _, err := h.Run(ctx, "sh", "-c", "until systemctl kill --kill-whom=all-fail --signal=KILL kedge-agent.service; do sleep 0.05; done"); err != nil {
		return "", err
	}
	r, err := h.Record()
	return r.Phase, err
}

func cutPower(ctx context.Context, h *fleet.Host, _ fleet.Record) (proto.Phase, error) {
	if err := h.PowerCut(ctx); err != nil {
		return "", err
	}
	r, err := h.Record()
	if err != nil {
		return "", err
	}
	return r.Phase, h.Start(ctx)
}

// killTransaction returns when the transaction runs again, unless there was none
// to kill: it begins after the fetch, and has ended soon after the deployment.
func killTransaction(ctx context.Context, h *fleet.Host, r fleet.Record) (proto.Phase, error) {
	unit := "kedge-transact-" + r.ID + ".service"
	_, missed := h.Run(ctx, "systemctl", "kill", "--kill-whom=all-fail", "--signal=KILL", unit)
	r, err := h.Record() // nobody goes on with it for a second
	if err != nil {
		return "", err
	}
	switch {
	case r.Phase == proto.PhaseAccepted, r.Phase == proto.PhaseFetched, r.Phase.Terminal():
		return r.Phase, nil
	case missed != nil:
		return r.Phase, missed
	}
	return r.Phase, awaitRestart(ctx, h, unit)
}

// unitStarting is the id of systemd's message that it starts a unit. The journal has it
// also when the unit is gone.
const unitStarting = "7d4958e842da4a758f6c1cdc7b36dcc5"

// awaitRestart waits until systemd starts the unit for the second time: by itself, or
// because an agent that starts just now does not wait for that.
func awaitRestart(ctx context.Context, h *fleet.Host, unit string) error {
	if err := awaitMessages(ctx, h, unit, unitStarting, 2); err != nil {
		return fmt.Errorf("%s was not started again: %w", unit, err)
	}
	return nil
}

// awaitMessages waits until the journal has n of systemd's messages with that id
// about the unit.
func awaitMessages(ctx context.Context, h *fleet.Host, unit, id string, n int) error {
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for {
		got, err := messages(ctx, h, unit, id)
		if err != nil || got >= n {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// messages counts systemd's messages with that id about the unit.
func messages(ctx context.Context, h *fleet.Host, unit, id string) (int, error) {
	out, err := h.Run(ctx, "journalctl", "--quiet", "--output=cat", "UNIT="+unit, "MESSAGE_ID="+id)
	return strings.Count(out, "\n"), err
}
