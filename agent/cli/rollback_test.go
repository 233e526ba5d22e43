package cli

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/proto"
)

// TestAwaitBack waits for ends of a deployment that somebody wanted back, and of
// one that somebody wanted.
func TestAwaitBack(t *testing.T) {
	recalled := func(ends ...proto.Phase) []deployment.Step {
		steps := []deployment.Step{{Phase: proto.PhaseProbation}}
		for _, p := range ends {
			steps = append(steps, deployment.Step{Phase: p})
		}
		if ends[0] == proto.PhaseRollingBack {
			steps[1].Reason = proto.ReasonRolledBackByHand
		}
		return steps
	}
	wanted := []deployment.Step{{Phase: proto.PhaseProbation, Reason: proto.ReasonRolledBackByHand}, {Phase: proto.PhaseCommitting}, {Phase: proto.PhaseCommitted}}
	for _, tt := range []struct {
		name  string
		steps []deployment.Step
		later bool // another deployment took its place
		good  bool
	}{
		{"it goes back", recalled(proto.PhaseRollingBack, proto.PhaseRolledBack), false, true},
		{"without contact", recalled(proto.PhaseRollingBack, proto.PhaseInconclusive), false, true},
		{"it cannot", recalled(proto.PhaseRollingBack, proto.PhaseRollbackFailed), false, false},
		{"it was decided", recalled(proto.PhaseCommitting, proto.PhaseCommitted), false, false},
		{"somebody else was faster", recalled(proto.PhaseSuperseded), false, false},
		{"the next one has begun already", recalled(proto.PhaseRollingBack, proto.PhaseRolledBack), true, true},
		{"what was wanted", wanted, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files := statefile.Dir{State: t.TempDir(), Runtime: t.TempDir()}
			d := deployment.Deployment{ID: "7-x", Phase: proto.PhaseActivating}
			if err := files.Save(d); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() {
				h := host{Options{Stdout: new(bytes.Buffer)}}
				ended <- h.awaitBack(t.Context(), files, "7-x")
			}()
			for i, s := range tt.steps {
				var err error
				s.Time = time.Date(2026, 1, 1, 0, 0, i, 0, time.UTC)
				if d, err = d.Advance(s); err != nil {
					t.Fatal(err)
				}
				if d.Terminal() {
					err = files.Remember(statefile.NewPast(d), func(statefile.History) error { return nil })
				}
				on := d
				if tt.later && d.Terminal() {
					on = deployment.Deployment{ID: "8-y", Phase: proto.PhaseAccepted}
				}
				if err := errors.Join(err, files.Save(on)); err != nil {
					t.Fatal(err)
				}
			}
			err := <-ended
			if bad := new(*badEndError); (err == nil) != tt.good || err != nil && !errors.As(err, bad) {
				t.Errorf("got %v, want a good end: %t", err, tt.good)
			}
		})
	}
}
