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
	byHand := func(from proto.Phase, phases ...proto.Phase) []deployment.Step {
		steps := []deployment.Step{{Phase: from, Reason: proto.ReasonRolledBackByHand}}
		for _, p := range phases {
			steps = append(steps, deployment.Step{Phase: p, Reason: proto.ReasonRolledBackByHand})
		}
		return steps
	}
	wanted := byHand(proto.PhaseActivating, proto.PhaseProbation, proto.PhaseCommitting, proto.PhaseCommitted)
	ended := byHand(proto.PhaseActivating, proto.PhaseProbation, proto.PhaseRollingBack, proto.PhaseRolledBack)
	for _, tt := range []struct {
		name  string
		steps []deployment.Step
		taken bool // it is taken back
		later bool // another deployment took its place
		good  bool
	}{
		{"it goes back", recalled(proto.PhaseRollingBack, proto.PhaseRolledBack), true, false, true},
		{"without contact", recalled(proto.PhaseRollingBack, proto.PhaseInconclusive), true, false, true},
		{"it cannot", recalled(proto.PhaseRollingBack, proto.PhaseRollbackFailed), true, false, false},
		{"it was decided", recalled(proto.PhaseCommitting, proto.PhaseCommitted), true, false, false},
		{"somebody else was faster", recalled(proto.PhaseSuperseded), true, false, false},
		{"the next one has begun already", recalled(proto.PhaseRollingBack, proto.PhaseRolledBack), true, true, true},
		{"what was wanted", wanted, false, false, true},
		{"what was wanted, and is not any more", wanted, true, false, false},
		{"what was wanted, but not by somebody else", ended, false, false, false},
		{"the same for who took it back", ended, true, false, true},
		{"what waited was taken back", byHand(proto.PhaseStaging, proto.PhaseStaged, proto.PhaseSuperseded), true, false, true},
		{"what waited was taken back by somebody else", byHand(proto.PhaseStaging, proto.PhaseStaged, proto.PhaseSuperseded), false, false, false},
		{"what was proven is brought back", byHand(proto.PhaseRollingBack, proto.PhaseRolledBack), false, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files := statefile.Dir{State: t.TempDir(), Runtime: t.TempDir()}
			d := deployment.Deployment{ID: "7-x"}
			for _, p := range []proto.Phase{proto.PhaseAccepted, proto.PhaseFetched, proto.PhaseActivating} {
				if p == proto.PhaseActivating && tt.steps[0].Phase != proto.PhaseProbation {
					break // the steps say how it goes on from there
				}
				var err error
				if d, err = d.Advance(deployment.Step{Phase: p, Time: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)}); err != nil {
					t.Fatal(err)
				}
			}
			if err := files.Save(d); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() {
				h := host{Options{Stdout: new(bytes.Buffer)}}
				ended <- h.awaitBack(t.Context(), files, "7-x", tt.taken)
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
	d := deployment.Deployment{ID: "7-x", Phase: proto.PhaseProbation, Toplevel: other, Proven: deployment.Proven{Toplevel: now, Generation: 2, Previous: deployment.Previous{Toplevel: before}}}
	plain := func(p proto.Phase) func(d *deployment.Deployment) {
		return func(d *deployment.Deployment) {
			d.Origin, d.Toplevel, d.Plain, d.Phase = deployment.OriginHand, before, true, p
		}
	}
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
		{"with a generation", func(*deployment.Deployment) {}, 3, "can only go back to what was proven: ask without --to and --reboot", false},
		{"a way back, with another generation", plain(proto.PhaseProbation), 3, "ask with --to 2 alone", false},
		{"a way back, with what is proven", plain(proto.PhaseProbation), 2, "7-x: goes back to " + now.String(), true},
		{"and once more", plain(proto.PhaseRollingBack), 2, "7-x: goes back to " + now.String(), false},
		{"an assignment, with what is proven", func(*deployment.Deployment) {}, 2, "7-x: goes back to " + now.String(), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files := statefile.Dir{State: t.TempDir(), Runtime: t.TempDir()}
			d := d
			tt.change(&d)
			var out bytes.Buffer
			taken, err := host{Options{Stdout: &out}}.recall(files, d, control.RollBackRequest{To: tt.to, By: "eva"})
			if want := err == nil && strings.Contains(tt.want, "goes back to"); taken != want {
				t.Errorf("it is taken back: %t, want %t", taken, want)
			}
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
