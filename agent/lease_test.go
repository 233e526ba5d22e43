package agent_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"kedge/agent"
	"kedge/agent/internal/control"
	"kedge/agent/internal/deployment"
	"kedge/proto"
)

func TestAHostWhoseWayBackFailedKeepsTheLease(t *testing.T) {
	w := newWorld(t)
	w.leases = func(acquire bool, id string) (proto.LeaseReply, error) {
		t.Errorf("the lease of %s is asked for (%t) or given back", id, acquire)
		return proto.LeaseReply{}, nil
	}
	d := deployment.Deployment{ID: "7-x", Serial: 7, Toplevel: pathB, Phase: proto.PhaseRollbackFailed, Leased: true, BootID: "boot"}
	if err := w.files.Save(d); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.awaitStatus("the agent to rest", func(s proto.Status) bool { return s.Deployment.Phase == proto.PhaseRollbackFailed })
}

// TestALeaseIsGivenBack checks that no lease is kept that nobody needs, whatever
// becomes of the deployment that it was for.
func TestALeaseIsGivenBack(t *testing.T) {
	for _, tt := range []struct {
		name  string
		phase proto.Phase
		late  bool // not before the record was replaced
		act   func(w *world, a *agent.Agent) error
	}{
		{"by the next deployment, if it could not be before", proto.PhaseSuperseded, true, func(w *world, _ *agent.Agent) error {
			w.assign(8, pathC)
			return nil
		}},
		{"by what follows a way back that failed", proto.PhaseRollbackFailed, true, func(w *world, _ *agent.Agent) error {
			w.assign(8, pathC)
			return nil
		}},
		{"when somebody goes back", proto.PhaseStaged, true, func(w *world, a *agent.Agent) error {
			_, err := a.RollBack(w.t.Context(), control.RollBackRequest{To: 1, By: "ada"})
			return err
		}},
		{"while somebody else's boot is waited for", proto.PhaseArmed, false, func(*world, *agent.Agent) error { return nil }},
		{"while the reboot is held back", proto.PhaseStaged, false, func(w *world, _ *agent.Agent) error {
			w.assignBy(7, pathC, newKey(w.t, "release-1"), w.controller)
			return nil
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := provenAfter(t)
			r := deployment.Deployment{
				ID: "7-x", Serial: 7, Toplevel: pathC, Phase: tt.phase, Way: deployment.WayReboot, Leased: true,
				Proven: deployment.Proven{Toplevel: pathB}, BootID: "boot", Parked: tt.phase == proto.PhaseArmed,
			}
			if err := w.files.Save(r); err != nil {
				t.Fatal(err)
			}
			w.configure = func(c *agent.Config) { c.Reboot.Lease = true }
			given := make(chan struct{}, 1)
			w.leases = func(acquire bool, _ string) (proto.LeaseReply, error) {
				if d, err := w.files.Deployment(); err != nil || acquire || tt.late && d.ID == r.ID {
					return proto.LeaseReply{}, errors.New("no controller")
				}
				select {
				case given <- struct{}{}:
				default:
				}
				return proto.LeaseReply{}, nil
			}
			a, _ := w.startAgent()
			if err := tt.act(w, a); err != nil {
				t.Fatal(err)
			}
			select {
			case <-given:
			case <-time.After(patience):
				t.Error("the lease is kept")
			}
		})
	}
}

func (w *world) AcquireLease(_ context.Context, id string) (proto.LeaseReply, error) {
	return w.leases(true, id)
}

func (w *world) ReleaseLease(_ context.Context, id string) error {
	_, err := w.leases(false, id)
	return err
}
