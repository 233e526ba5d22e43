//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// TestKilledAtEveryBorder ends the agent, the transaction or the whole host as
// it enters each phase of a good and of a bad deployment. Each time the host
// ends on the proven system or on the new one, committed; then the next
// deployment works.
func TestKilledAtEveryBorder(t *testing.T) {
	t.Parallel()
	kills := map[string]func(ctx context.Context, h *fleet.Host, r fleet.Record) error{
		"agent": func(ctx context.Context, h *fleet.Host, _ fleet.Record) error {
			_, err := h.Run(ctx, "systemctl", "kill", "--kill-whom=all", "--signal=KILL", "kedge-agent.service")
			return err
		},
		"transact": func(ctx context.Context, h *fleet.Host, r fleet.Record) error {
			// There is no such unit before the activation: nothing to kill then.
			_, err := h.Run(ctx, "sh", "-c", "systemctl kill --kill-whom=all --signal=KILL kedge-transact-"+r.ID+".service || true")
			return err
		},
		"power": func(ctx context.Context, h *fleet.Host, _ fleet.Record) error {
			if err := h.PowerCut(ctx); err != nil {
				return err
			}
			return h.Start(ctx)
		},
	}
	f := up(t, "agent", "transact", "power")
	for _, phase := range slices.Concat(goodWay(), badWay()) {
		broken := slices.Contains(badWay(), phase)
		text := fmt.Sprintf("killed at %s", phase)
		t.Log(text)
		before := map[string]string{}
		for _, h := range f.Hosts() {
			before[h.Name()] = h.MustFacts(t).App
		}
		rev := f.MustPush(t, text, func(w *toplevel.Fleet) {
			fleet.Edit(w, fleet.App(text))
			if broken {
				fleet.Edit(w, fleet.AddUnit("broken.service", toplevel.FailsToStart("no")))
			}
		})
		done := make(chan error, len(kills))
		for name, kill := range kills {
			h := f.Host(name)
			go func() { done <- killAt(t.Context(), h, rev, phase, kill) }()
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

// from returns p and the phases after it.
func from(p proto.Phase) []proto.Phase {
	for _, way := range [][]proto.Phase{goodWay(), badWay()} {
		if i := slices.Index(way, p); i >= 0 {
			return way[i:]
		}
	}
	return nil
}

// killAt kills as soon as the host's record of rev is in phase, or has left it:
// some phases last a few milliseconds.
func killAt(ctx context.Context, h *fleet.Host, rev proto.Revision, phase proto.Phase, kill func(context.Context, *fleet.Host, fleet.Record) error) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	r, err := h.AwaitRecord(ctx, fmt.Sprintf("%s to be %s", rev.Short(), phase), func(r fleet.Record) bool {
		return r.Revision == rev && slices.Contains(from(phase), r.Phase)
	})
	if err != nil {
		return err
	}
	if err := kill(ctx, h, r); err != nil {
		return fmt.Errorf("kill at %s on %s: %w", phase, h.Name(), err)
	}
	return nil
}
