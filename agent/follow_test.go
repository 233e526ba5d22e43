package agent_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kedge/agent"
	"kedge/agent/internal/closure"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/proto"
)

func TestSettlesBeforeItAsksWhatIsDesired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.silent = true
		w.record(deployment.Deployment{
			ID: "7-x", Serial: 7, Toplevel: pathB, Phase: proto.PhaseProbation, Proven: deployment.Proven{Toplevel: pathA},
		})
		w.follow()
		synctest.Wait()
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.ensured) == 0 {
			t.Error("nothing was settled: the agent waits for an answer")
		}
	})
}

func TestWhatItWroteItselfIsNoNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.record(deployment.Deployment{
			ID: "7-x", Serial: 7, Toplevel: pathB, Phase: proto.PhaseActivating, Proven: deployment.Proven{Toplevel: pathA},
		})
		ctx, cancel := context.WithCancel(t.Context())
		changed, done := make(chan struct{}), make(chan error)
		a := w.agent()
		go func() { done <- a.FollowRecord(ctx, changed) }()
		seen := func() int {
			synctest.Wait()
			w.mu.Lock()
			defer w.mu.Unlock()
			return len(w.ensured)
		}
		before := seen()
		changed <- struct{}{}
		if got := seen(); got != before {
			t.Errorf("the transaction was seen to %d times instead of %d: nothing has changed", got, before)
		}
		d, err := w.files.Deployment()
		if err != nil {
			t.Fatal(err)
		}
		d.Activations++
		if err := w.files.Save(d); err != nil {
			t.Fatal(err)
		}
		changed <- struct{}{}
		if got := seen(); got != before+1 {
			t.Errorf("the transaction was seen to %d times instead of %d", got, before+1)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestInhibitorsAreAskedWhereItMatters(t *testing.T) {
	back := deployment.Deployment{ID: "6-x", Serial: 6, Toplevel: pathC, Phase: proto.PhaseRolledBack, Proven: deployment.Proven{Toplevel: pathA}}
	for name, tt := range map[string]struct {
		reboots bool
		last    deployment.Deployment
		want    int
	}{
		"before an activation that they may hold back":    {false, deployment.Deployment{}, 1},
		"not before one that they may not":                {true, deployment.Deployment{}, 0},
		"as long as the host may reboot as a last resort": {true, back, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.inhibitReboots = tt.reboots
				w.record(tt.last)
				w.follow()
				asked := func() int {
					synctest.Wait()
					w.mu.Lock()
					defer w.mu.Unlock()
					return w.vetoed
				}
				before := asked()
				if before == 0 {
					t.Error("not asked at the start")
				}
				w.assign(7, pathB)
				if got := asked() - before; got != tt.want {
					t.Errorf("asked %d times for a deployment, want %d", got, tt.want)
				}
				w.awaitTransaction()
				before = asked()
				time.Sleep(2 * time.Minute) // at least once a minute
				if got := asked() - before; got < 1 || got > 14 {
					t.Errorf("asked %d times within two minutes", got)
				}
			})
		})
	}
}

func TestAHostThatRunsSomethingElseIsNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.follow()
		w.assign(7, pathA)
		synctest.Wait()
		if got := condition(a.Status(), proto.ConditionReady); got.Status != proto.StatusTrue {
			t.Fatalf("ready is %+v, want true", got)
		}
		for _, somebody := range []proto.Systems{
			{Current: pathC, Profile: pathA}, // nixos-rebuild test
			{Current: pathA, Profile: pathC}, // nixos-rebuild boot
		} {
			before, _ := w.Systems()
			w.change(func() { w.systems = somebody })
			for _, looked := range []bool{false, true} {
				if looked {
					time.Sleep(2 * time.Minute) // nobody tells the agent
					synctest.Wait()
				}
				s := a.Status()
				if got := condition(s, proto.ConditionReady); got.Status != proto.StatusFalse || got.Reason != proto.ReasonNotProven ||
					(got.Message != "") != looked {
					t.Errorf("ready is %+v, want false because of %s, with what to do once the agent has looked", got, proto.ReasonNotProven)
				}
				if got := condition(s, proto.ConditionDrifted); got.Status != proto.StatusTrue {
					t.Errorf("drifted is %+v, want true", got)
				}
			}
			w.change(func() { w.systems = before })
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			if got := condition(a.Status(), proto.ConditionReady); got.Status != proto.StatusTrue {
				t.Errorf("ready is %+v, want true again", got)
			}
		}
	})
}

func TestAHostThatCannotBeObservedIsLookedAtAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.unseen = errors.New("input/output error")
		a := w.follow()
		looks := func(d time.Duration) int {
			time.Sleep(d)
			synctest.Wait()
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.looks
		}
		if n := looks(30 * time.Second); n < 4 {
			t.Errorf("looked %d times in the first half minute, want more", n)
		}
		if n := looks(time.Hour); n > 200 {
			t.Errorf("looked %d times in an hour, want less", n)
		}
		w.change(func() { w.unseen = nil })
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := a.Status().Systems.Proven; got != pathA {
			t.Errorf("proven is %q, want %s adopted", got, pathA)
		}
	})
}

func TestOnlySomebodyWhoAsksShortensAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.fetch = func(context.Context, closure.FetchOrder) error {
			return &closure.Rejection{Reason: proto.ReasonCacheUnreachable, Err: context.DeadlineExceeded}
		}
		w.follow()
		attempts := func() int {
			synctest.Wait() // no time passes
			d, err := w.files.Deployment()
			if err != nil {
				t.Fatal(err)
			}
			return d.Attempt
		}
		w.assign(7, pathB) // the first bell is the connection's
		if got := attempts(); got != 1 {
			t.Fatalf("%d attempts, want the first", got)
		}
		w.change(func() { w.connects++ })
		w.ring() // by the connection
		if got := attempts(); got != 1 {
			t.Errorf("a new connection began attempt %d, want the pause kept", got)
		}
		w.ring() // by somebody
		if got := attempts(); got != 2 {
			t.Errorf("%d attempts, want the second", got)
		}
	})
}

// As where a hook of the deployment before is in a read that nobody can end.
func TestAFetchWaitsNoLongerForAnotherThanItMayTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = 10 * time.Minute
		w := newWorld(t)
		w.configure = func(c *agent.Config) { c.Fetch.Timeout = timeout }
		disk := make(chan struct{})
		w.fetch = func(_ context.Context, o closure.FetchOrder) error {
			if o.Toplevel == pathB {
				<-disk
			}
			return nil
		}
		a := w.follow()
		after := func(d time.Duration) deployment.Deployment {
			time.Sleep(d)
			synctest.Wait()
			record, err := w.files.Deployment()
			if err != nil {
				t.Fatal(err)
			}
			return record
		}
		w.assign(7, pathB)
		held := after(0)
		w.assign(8, pathC)
		stopped := time.Now()
		why := "the fetch of deployment " + held.ID + ", which was to be stopped at " + stopped.UTC().Format(time.RFC3339) + ", has not ended"
		waits := after(5 * time.Second)
		if got := condition(a.Status(), proto.ConditionReady); waits.Serial != 8 || waits.Phase != proto.PhaseAccepted || !strings.Contains(got.Message, why) {
			t.Errorf("serial %s is %s, ready is %+v, want 8 accepted, and %q said at once", waits.Serial, waits.Phase, got, why)
		}
		if got := after(timeout); got.ID != waits.ID || got.Phase != proto.PhaseFailed || got.Reason != proto.ReasonFetchFailed || !strings.Contains(got.Message, why) {
			t.Errorf("%s is %s, %s: %q, want %s failed because %q", got.ID, got.Phase, got.Reason, got.Message, waits.ID, why)
		}
		close(disk)
		if got := after(time.Minute); got.Serial != 8 || got.Attempt != 2 || got.Phase != proto.PhaseFetched {
			t.Errorf("attempt %d at serial %s is %s, want the second at 8 fetched", got.Attempt, got.Serial, got.Phase)
		}
		if got := condition(a.Status(), proto.ConditionReady); got.Message != "" {
			t.Errorf("ready is %+v, want nothing to be waited for", got)
		}
	})
}

func TestARefusalIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.follow()
		synctest.Wait()
		before := a.Outbox.Len()
		w.issued = time.Now().Add(24 * time.Hour) // the host's clock is wrong
		w.assign(7, pathB)
		for range 10 {
			time.Sleep(time.Minute)
			w.ring()
			synctest.Wait()
		}
		if got := condition(a.Status(), proto.ConditionAccepted); got.Reason != proto.ReasonClock {
			t.Errorf("accepted is %+v, want false because of %s", got, proto.ReasonClock)
		}
		if got := a.Outbox.Len() - before; got != 1 {
			t.Errorf("%d events of one refusal, want 1", got)
		}
		w.assign(8, pathB)
		synctest.Wait()
		if got := a.Outbox.Len() - before; got != 2 {
			t.Errorf("%d events of two refusals, want 2", got)
		}
	})
}

// TestWhatIsDesiredExpires: nobody can be asked for longer than a day. What was
// told before then counts no more: it is not begun, and the host says so.
func TestWhatIsDesiredExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.follow()
		synctest.Wait()
		if err := w.files.Suspend(statefile.Suspension{By: "root", Since: time.Now(), Until: time.Now().Add(2 * time.Hour)}); err != nil {
			t.Fatal(err)
		}
		w.assign(7, pathB) // for an hour
		synctest.Wait()
		if got := condition(a.Status(), proto.ConditionAccepted); got.Status != proto.StatusTrue {
			t.Fatalf("accepted is %+v, want true", got)
		}
		before := a.Outbox.Len()
		w.change(func() { w.unread = errors.New("nobody answers") })
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if got := condition(a.Status(), proto.ConditionAccepted); got.Reason != proto.ReasonFreeze {
			t.Errorf("accepted is %+v, want false because of %s", got, proto.ReasonFreeze)
		}
		if got := a.Outbox.Len() - before; got != 1 {
			t.Errorf("%d events, want 1", got)
		}
		if d, err := w.files.Deployment(); err != nil || d.Phase != proto.PhaseNone {
			t.Errorf("the record is %+v (%v), want none", d, err)
		}

		w.change(func() { w.unread = nil })
		w.assign(7, pathB) // signed anew
		synctest.Wait()
		if d, err := w.files.Deployment(); err != nil || d.Serial != 7 || d.Phase != proto.PhaseFetched {
			t.Errorf("the record is %+v (%v), want serial 7 to be deployed", d, err)
		}
	})
}

// As where the preflight of B asks a mount of a disk that went away.
func TestADiskThatDoesNotAnswerDoesNotHoldTheReconciler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.proved()
		disk := make(chan struct{})
		w.fetch = func(_ context.Context, o closure.FetchOrder) error {
			if o.Toplevel == pathB {
				<-disk
			}
			return nil
		}
		a := w.follow()
		w.assign(7, pathB)
		synctest.Wait()
		w.assign(8, pathC)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := a.Reconcile(ctx); err != nil {
			t.Errorf("the reconciler is held up: %v", err)
		}
		close(disk)
		if d := w.awaitTransaction(); d.Serial != 8 {
			t.Errorf("deployment %s, want of assignment 8", d.ID)
		}
	})
}
