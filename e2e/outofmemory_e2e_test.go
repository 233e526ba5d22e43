//go:build e2e

package e2e_test

import (
	"context"
	"testing"
	"time"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// silentHTTP drops what is sent to the controller's HTTP server, so that a fetch
// waits.
const silentHTTP = `table inet silentHTTP {
	chain input {
		type filter hook input priority 0;
		tcp dport 8080 drop
	}
}
`

// TestTransactionOutOfMemory: the kernel kills the agent, for its memory, while it
// fetches, and while its transaction switches. The deployment goes on, and the agent
// finds its way back to it. In a probation the transaction restarts it itself.
func TestTransactionOutOfMemory(t *testing.T) {
	t.Parallel()
	f := up(t, "web1")
	h := f.Host("web1")
	commit(t, f, "before", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("before")) })

	t.Run("during a fetch", func(t *testing.T) {
		firewall(t, f, silentHTTP)
		rev := f.MustPush(t, "fetched", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("fetched")) })
		awaitStep(t, h, rev, proto.PhaseAccepted)
		starve(t, h, rev, proto.PhaseAccepted)
		firewall(t, f, "delete table inet silentHTTP\n")
		requireFirstTry(t, h, rev, "fetched")
	})
	for _, phase := range []proto.Phase{proto.PhaseActivating} {
		t.Run("during "+string(phase), func(t *testing.T) {
			rev := f.MustPush(t, string(phase), func(w *toplevel.Fleet) {
				fleet.Edit(w, fleet.App(string(phase)))
				fleet.Edit(w, lasting()[phase])
			})
			awaitStep(t, h, rev, phase)
			starve(t, h, rev, phase)
			requireFirstTry(t, h, rev, string(phase))
		})
	}
}

const agentUnit = "kedge-agent.service"

// killedMessage is the id of systemd's message that a unit's main process has ended
// badly.
const killedMessage = "98e322203f7a4ed290d09fe03c09fe15"

// starve has the kernel kill the agent for its memory, in that phase of the host's
// deployment of rev.
func starve(t *testing.T, h *fleet.Host, rev proto.Revision, phase proto.Phase) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	before, err := messages(ctx, h, agentUnit, killedMessage)
	if err == nil {
		err = h.OutOfMemory(ctx, agentUnit)
	}
	if err != nil {
		t.Fatalf("have the kernel kill the agent: %v", err)
	}
	if r, err := h.Record(); err != nil || r.Revision != rev || r.Phase != phase {
		t.Errorf("the agent was killed while %s was %s (%v), want %s to be %s", r.Revision.Short(), r.Phase, err, rev.Short(), phase)
	}
	if err := awaitMessages(ctx, h, agentUnit, killedMessage, before+1); err != nil {
		t.Fatalf("wait for systemd to notice that the agent was killed: %v", err)
	}
}

// requireFirstTry waits until the host has committed rev, and fails unless it did
// so in its first attempt.
func requireFirstTry(t *testing.T, h *fleet.Host, rev proto.Revision, app string) {
	t.Helper()
	h.MustAwaitPhase(t, rev, proto.PhaseCommitted)
	requireOn(t, h, app)
	if r, err := h.Record(); err != nil || r.Attempt != 1 {
		t.Errorf("%s: committed in attempt %d (%v), want 1", h.Name(), r.Attempt, err)
	}
}
