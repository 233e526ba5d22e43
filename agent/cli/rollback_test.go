package cli

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"kedge/agent/internal/control"
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

// TestRecall asks for a way back while a deployment is under way, which may be one already.
func TestRecall(t *testing.T) {
	path := func(name string) proto.StorePath {
		p, err := proto.ParseStorePath("/nix/store/0123456789abcdfghijklmnpqrsvwxyz-nixos-system-" + name)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	now, before, other := path("now"), path("before"), path("other")
	d := deployment.Deployment{ID: "7-x", Phase: proto.PhaseProbation, Toplevel: other, Proven: deployment.Proven{Toplevel: now, Previous: deployment.Previous{Toplevel: before}}}
	for _, tt := range []struct {
		name   string
		change func(d *deployment.Deployment)
		to     proto.Generation
		want   string // said, or the error
		recall bool
	}{
		{"an assignment", func(*deployment.Deployment) {}, 0, "7-x: goes back to " + now.String(), true},
		{"the same way back", func(d *deployment.Deployment) { d.Origin, d.Toplevel, d.Plain = deployment.OriginHand, before, true }, 0, "7-x: goes back already", false},
		{"the same, which is committed", func(d *deployment.Deployment) {
			d.Origin, d.Toplevel, d.Plain, d.Phase = deployment.OriginHand, before, true, proto.PhaseCommitting
		}, 0, "7-x: goes back already", false},
		{"what was proven is brought back", func(d *deployment.Deployment) {
			d.Origin, d.Toplevel, d.Plain, d.Restore = deployment.OriginHand, now, true, true
		}, 0, "7-x: goes back already", false},
		{"a way to the same system, named as a generation", func(d *deployment.Deployment) { d.Origin, d.Toplevel = deployment.OriginHand, before }, 0, "7-x: goes back to " + now.String(), true},
		{"a way to some generation", func(d *deployment.Deployment) { d.Origin = deployment.OriginHand }, 0, "7-x: goes back to " + now.String(), true},
		{"the same, which is gone back from", func(d *deployment.Deployment) {
			d.Origin, d.Toplevel, d.Plain, d.Phase = deployment.OriginHand, before, true, proto.PhaseRollingBack
		}, 0, "7-x: goes back to " + now.String(), false},
		{"with a generation", func(*deployment.Deployment) {}, 3, "can only go back to what was proven", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files := statefile.Dir{State: t.TempDir(), Runtime: t.TempDir()}
			d := d
			tt.change(&d)
			var out bytes.Buffer
			err := host{Options{Stdout: &out}}.recall(files, d, control.RollBackRequest{To: tt.to, By: "eva"})
			if said := strings.TrimSpace(out.String()); err == nil && said != tt.want || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("says %q, error %v; want %q", said, err, tt.want)
			}
			once, cancel := context.WithCancel(t.Context())
			cancel()
			if r, recalled := files.AwaitRecall(once, d.ID, slog.New(slog.DiscardHandler)); recalled != tt.recall {
				t.Errorf("recalled %t: %+v; want %t", recalled, r, tt.recall)
			}
		})
	}
}
