package agent_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kedge/agent"
	"kedge/agent/internal/closure"
	"kedge/agent/internal/control"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/hook"
	"kedge/agent/internal/statefile"
	"kedge/proto"
	"kedge/proto/bus"
)

// drains is a host that is drained before a reboot, and can take that back.
func drains(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	h := everyHook().PreActivate
	w.hooks = agent.HooksConfig{PreReboot: h, RebootCancelled: h, PostRollback: h}
	w.configure = func(c *agent.Config) { c.Policy.Normal = deployment.WayReboot }
	return w
}

func (w *world) veto() {
	w.change(func() { w.reboots = []statefile.Veto{{Who: "backup"}} })
}

// awaitRan waits until hooks ran at these points, in this order.
func (w *world) awaitRan(want ...hook.Point) {
	w.t.Helper()
	w.await("hooks at "+strings.Join(names(want), ", "), func() bool { return slices.Equal(w.ran(), want) })
}

func names(points []hook.Point) (all []string) {
	for _, p := range points {
		all = append(all, string(p))
	}
	return all
}

// awaitRecord waits until the record is ok.
func (w *world) awaitRecord(what string, ok func(d deployment.Deployment) bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	if err := w.files.Await(ctx, statefile.DeploymentFile, func() (bool, error) {
		d, err := w.files.Deployment()
		return ok(d), err
	}); err != nil {
		w.t.Fatalf("wait for %s: %v", what, err)
	}
}

func (w *world) awaitArmed() {
	w.t.Helper()
	w.await("the transaction to reboot", func() bool {
		return slices.ContainsFunc(w.ensured, func(d deployment.Deployment) bool { return d.Phase == proto.PhaseArmed })
	})
}

func TestWhatWasDrainedIsUndoneWhileTheRebootWaits(t *testing.T) {
	w := drains(t)
	goOn := make(chan struct{})
	first := true
	w.hook = func(ctx context.Context, c hook.Call) error {
		switch {
		case c.Point == hook.RebootCancelled:
			select {
			case <-goOn:
			case <-ctx.Done():
				t.Error("it is cut short")
			}
		case first:
			w.veto()
			first = false
		}
		return nil
	}
	a, _ := w.startAgent()
	w.assign(7, pathB)
	w.stage(w.awaitTransaction())
	w.awaitRan(hook.PreReboot, hook.RebootCancelled)
	if c := w.calls[1]; c.Deployment.Phase != proto.PhaseStaged || len(c.Hooks) != 1 {
		t.Errorf("called for %+v", c)
	}
	w.change(func() { w.reboots = nil })
	if err := a.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d, err := w.files.Deployment(); err != nil || d.Phase != proto.PhaseStaged {
		t.Errorf("meanwhile it is %s (%v)", d.Phase, err)
	}
	close(goOn)
	w.awaitArmed()
	w.awaitRan(hook.PreReboot, hook.RebootCancelled, hook.PreReboot)
}

// TestAHostThatWasBootedIsDrainedAnew has somebody else boot it in between.
func TestAHostThatWasBootedIsDrainedAnew(t *testing.T) {
	w := drains(t)
	stop := w.start()
	w.assign(7, pathB)
	d := w.awaitTransaction()
	stop()
	d.Drained, d.DrainedIn = true, "before"
	w.stage(d)
	w.start()
	w.awaitArmed()
	w.awaitRan(hook.PreReboot)
}

func TestWithoutAHookThatUndoesItAHostIsDrainedAnew(t *testing.T) {
	w := drains(t)
	w.hooks.RebootCancelled = nil
	first := true
	w.hook = func(context.Context, hook.Call) error {
		if first {
			w.veto()
		}
		first = false
		return nil
	}
	a, _ := w.startAgent()
	w.assign(7, pathB)
	w.stage(w.awaitTransaction())
	w.awaitStatus("the veto", func(s proto.Status) bool { return condition(s, proto.ConditionReady).Reason == proto.ReasonInhibited })
	w.change(func() { w.reboots = nil })
	if err := a.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.awaitArmed()
	w.awaitRan(hook.PreReboot, hook.PreReboot)
}

func TestWhatARefusalDrainedIsUndone(t *testing.T) {
	w := drains(t)
	w.hook = func(_ context.Context, c hook.Call) error {
		if c.Point == hook.PreReboot {
			return errHook
		}
		return nil
	}
	w.start()
	w.assign(7, pathB)
	w.stage(w.awaitTransaction())
	w.awaitRan(hook.PreReboot, hook.RebootCancelled)
	w.awaitRecord("nothing to be drained any more", func(d deployment.Deployment) bool {
		return d.Phase == proto.PhaseFailed && d.DrainedIn == ""
	})
}

func TestANewerAssignmentUndoesADrain(t *testing.T) {
	w := drains(t)
	hung := make(chan struct{})
	w.hook = func(ctx context.Context, c hook.Call) error {
		if c.Point == hook.PreReboot && c.Deployment.Serial == 7 {
			close(hung)
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
	w.fetch = func(context.Context, closure.FetchOrder) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if got := w.ran(); len(got) == 1 {
			t.Error("another deployment began while the host was drained for the last one")
		}
		return nil
	}
	w.start()
	w.assign(7, pathB)
	w.stage(w.awaitTransaction())
	w.awaitClosed("the hook to hang", hung)
	w.assign(8, pathC)
	w.awaitRan(hook.PreReboot, hook.RebootCancelled)
	w.await("the next deployment", func() bool { return w.ensured[len(w.ensured)-1].Serial == 8 })
}

func TestAHostThatDidNotGoDownIsUndrained(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   string // boot in which it was drained
		want []hook.Point
	}{
		{"in the same boot", "boot", []hook.Point{hook.RebootCancelled, hook.PostRollback}},
		{"but not after a boot", "before", []hook.Point{hook.PostRollback}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := drains(t)
			w.record(deployment.Deployment{
				ID: "7-x", Serial: 7, Toplevel: pathB, Phase: proto.PhaseInconclusive, Reason: proto.ReasonRebootFailed, Drained: true, DrainedIn: tt.in,
			})
			w.start()
			w.awaitRan(tt.want...)
			w.assign(8, pathC)
			w.awaitTransaction()
			w.awaitRan(tt.want...)
		})
	}
}

// TestADrainOutlivesTheAgent has the agent start anew while the host is drained: it hears
// what the host is to run a moment later, and that is the same.
func TestADrainOutlivesTheAgent(t *testing.T) {
	w := drains(t)
	stop := w.start()
	w.assign(7, pathB)
	d := w.awaitTransaction()
	stop()
	d.Drained, d.DrainedIn = true, "boot"
	w.stage(d)
	w.start()
	w.awaitArmed()
	w.awaitRan()
}

// TestAHostIsDrainedAnewThoughUndoingWasCutShort has the agent start anew in the middle of
// undoing a drain, when nothing speaks against the reboot any more.
func TestAHostIsDrainedAnewThoughUndoingWasCutShort(t *testing.T) {
	w := drains(t)
	w.hook = func(ctx context.Context, c hook.Call) error {
		if c.Point == hook.RebootCancelled {
			<-ctx.Done()
			return ctx.Err()
		}
		w.veto()
		return nil
	}
	stop := w.start()
	w.assign(7, pathB)
	w.stage(w.awaitTransaction())
	w.awaitRan(hook.PreReboot, hook.RebootCancelled)
	stop()
	w.change(func() { w.reboots, w.hook = nil, nil })
	w.start()
	w.awaitArmed()
	w.awaitRan(hook.PreReboot, hook.RebootCancelled, hook.PreReboot)
}

// TestADrainIsUndoneAfterARestart has the agent end while the host is drained, and
// again in the middle of undoing that; and NATS be down for long.
func TestADrainIsUndoneAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := drains(t)
		w.unread = bus.ErrNotConnected
		w.record(deployment.Deployment{
			ID: "7-x", Serial: 7, Toplevel: pathB, Phase: proto.PhaseStaged, Way: deployment.WayReboot, Drained: true, DrainedIn: "boot",
		})
		if err := w.files.SaveProven(deployment.Proven{Toplevel: pathA}); err != nil {
			t.Fatal(err)
		}
		w.hook = func(ctx context.Context, _ hook.Call) error {
			<-ctx.Done()
			return ctx.Err()
		}
		passes := func(d time.Duration, want ...hook.Point) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			w.mu.Lock()
			defer w.mu.Unlock()
			if got := w.ran(); !slices.Equal(got, want) {
				t.Fatalf("hooks ran at %s, want %s", names(got), names(want))
			}
		}
		_, stop := w.followUntil()
		passes(time.Minute)
		passes(2*time.Minute, hook.RebootCancelled)
		stop()
		w.change(func() { w.hook = func(context.Context, hook.Call) error { return errHook } })
		w.follow()
		passes(3*time.Minute, hook.RebootCancelled, hook.RebootCancelled)
		if d, err := w.files.Deployment(); err != nil || d.DrainedIn != "" || d.Drained {
			t.Errorf("drained in %q, %t, error %v; want nothing to be drained any more", d.DrainedIn, d.Drained, err)
		}
	})
}

// TestWhoGoesBackWaitsForWhatWasDrained has somebody go to a generation while the
// host is drained.
func TestWhoGoesBackWaitsForWhatWasDrained(t *testing.T) {
	w := drains(t)
	if err := errors.Join(w.files.Prepare(), w.files.SaveProven(deployment.Proven{Toplevel: pathA, Generation: 1})); err != nil {
		t.Fatal(err)
	}
	goOn, undoes := make(chan struct{}), make(chan struct{})
	w.hook = func(ctx context.Context, c hook.Call) error {
		if c.Point == hook.RebootCancelled {
			close(undoes)
			<-goOn
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	}
	a, _ := w.startAgent()
	w.assign(7, pathB)
	w.stage(w.awaitTransaction())
	w.awaitRan(hook.PreReboot)
	back := func() error {
		_, err := a.RollBack(t.Context(), control.RollBackRequest{To: 3, By: "ada"})
		return err
	}
	if err := back(); err == nil || !strings.Contains(err.Error(), "ask again") {
		t.Fatalf("RollBack = %v, want it to be asked again", err)
	}
	w.awaitClosed("the hook", undoes)
	close(goOn)
	w.awaitRecord("nothing to be drained any more", func(d deployment.Deployment) bool {
		return d.Phase == proto.PhaseSuperseded && d.DrainedIn == ""
	})
	if err := back(); err != nil {
		t.Fatal(err)
	}
}
