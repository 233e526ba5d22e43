package agent_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"kedge/agent"
	"kedge/agent/internal/closure"
	"kedge/agent/internal/control"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/proto"
	"kedge/proto/bus"
)

func TestDecideWhatSomebodySays(t *testing.T) {
	const limit = inhibitMax
	untouched := func(phase proto.Phase, ago time.Duration) agent.Observation {
		return with(ended(phase, "", 1), func(o *agent.Observation) {
			o.Record.Since, o.InhibitMax = o.Now.Add(-ago), limit
		})
	}
	suspend := func(o *agent.Observation) {
		o.Suspended = &statefile.Suspension{Since: o.Now.Add(-time.Hour), Until: o.Now.Add(time.Hour), Reason: "disk swap", By: "ada"}
	}
	veto := func(o *agent.Observation) {
		o.Vetoes, o.InhibitMax = []statefile.Veto{{Who: "backup", Why: "runs"}, {Who: "ada"}}, limit
	}
	verifying := func(o *agent.Observation) { o.Verifying = true }
	for _, tt := range []struct {
		name   string
		o      agent.Observation
		want   agent.Action
		reason proto.Reason
		again  time.Duration // from now
	}{
		{"a suspended agent begins no deployment", with(settledOn(pathA, pathB), suspend), agent.ActionRest, proto.ReasonSuspended, time.Hour},
		{"nor again, whoever asks", with(with(ended(proto.PhaseFailed, proto.ReasonDiskFull, 1), suspend), func(o *agent.Observation) {
			o.Rung = true
		}), agent.ActionRest, proto.ReasonSuspended, time.Hour},
		{"nor fetches", with(untouched(proto.PhaseAccepted, 0), suspend), agent.ActionRest, proto.ReasonSuspended, time.Hour},
		{"nor begins a transaction", with(untouched(proto.PhaseFetched, 0), suspend), agent.ActionRest, proto.ReasonSuspended, time.Hour},
		{"but settles one that has begun", with(untouched(proto.PhaseProbation, 0), suspend), agent.ActionSettle, proto.ReasonDeploying, 0},
		{"and rolls back", with(untouched(proto.PhaseRollingBack, 0), suspend), agent.ActionSettle, proto.ReasonDeploying, 0},
		{"and knows when it runs what it shall", with(settledOn(pathA, pathA), suspend), agent.ActionRest, proto.ReasonConverged, 0},
		{"and takes for proven what somebody registered", with(with(settledOn(pathA, pathB), suspend), func(o *agent.Observation) {
			o.Systems.Current, o.Systems.Profile = pathC, pathC
		}), agent.ActionAdopt, proto.ReasonAdopted, 0},
		{"and gives up what a newer assignment overtook", with(with(untouched(proto.PhaseFetched, 0), suspend), func(o *agent.Observation) {
			o.Order.Assignment.Serial = 8
		}), agent.ActionSupersede, proto.ReasonNewerAssignment, 0},
		{"a suspension without an end is looked at when something happens", with(settledOn(pathA, pathB), func(o *agent.Observation) {
			o.Suspended = &statefile.Suspension{Since: o.Now}
		}), agent.ActionRest, proto.ReasonSuspended, 0},

		{"an agent that reads the store begins nothing", with(settledOn(pathA, pathB), verifying), agent.ActionRest, proto.ReasonVerifying, 0},
		{"nor a transaction", with(untouched(proto.PhaseFetched, 0), verifying), agent.ActionRest, proto.ReasonVerifying, 0},
		{"but lets somebody go back", with(with(untouched(proto.PhaseFetched, 0), verifying), func(o *agent.Observation) {
			o.Record.Origin = deployment.OriginHand
		}), agent.ActionSettle, proto.ReasonDeploying, 0},
		{"and settles one that has begun, then, too", with(untouched(proto.PhaseProbation, 0), verifying), agent.ActionSettle, proto.ReasonDeploying, 0},
		{"and knows, then, too, when it runs what it shall", with(settledOn(pathA, pathA), verifying), agent.ActionRest, proto.ReasonConverged, 0},

		{"a veto holds back what was fetched", with(untouched(proto.PhaseFetched, 10*time.Minute), veto), agent.ActionRest, proto.ReasonInhibited, inhibitMax - 10*time.Minute},
		{"for so long", with(untouched(proto.PhaseFetched, limit), veto), agent.ActionSettle, proto.ReasonDeploying, 0},
		{"not for ever because a clock was set back", with(untouched(proto.PhaseFetched, -limit), veto), agent.ActionSettle, proto.ReasonDeploying, 0},
		{"not the fetch", with(untouched(proto.PhaseAccepted, 0), veto), agent.ActionFetch, proto.ReasonDeploying, 0},
		{"not the beginning", with(settledOn(pathA, pathB), veto), agent.ActionDeploy, proto.ReasonDeploying, 0},
		{"not a transaction that has begun", with(untouched(proto.PhaseActivating, 0), veto), agent.ActionSettle, proto.ReasonDeploying, 0},
		{"not a rollback", with(untouched(proto.PhaseRollingBack, 0), veto), agent.ActionSettle, proto.ReasonDeploying, 0},
		{"not what somebody confirmed", with(with(untouched(proto.PhaseFetched, 0), veto), func(o *agent.Observation) {
			o.Confirmed = true
		}), agent.ActionSettle, proto.ReasonDeploying, 0},
		{"who is suspended is not so for being confirmed", with(with(untouched(proto.PhaseFetched, 0), suspend), func(o *agent.Observation) {
			o.Confirmed = true
		}), agent.ActionRest, proto.ReasonSuspended, time.Hour},
		{"who is suspended is not held back besides", with(with(untouched(proto.PhaseFetched, 0), veto), suspend), agent.ActionRest, proto.ReasonSuspended, time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := agent.Decide(tt.o)
			if got.Action != tt.want || got.Reason != tt.reason {
				t.Errorf("Decide = %s because of %q, want %s because of %q", got.Action, got.Reason, tt.want, tt.reason)
			}
			var again time.Time
			if tt.again > 0 {
				again = tt.o.Now.Add(tt.again)
			}
			if !got.Again.Equal(again) {
				t.Errorf("decides again at %s, want %s", got.Again, again)
			}
			if got.Reason == proto.ReasonInhibited && got.Message != "backup: runs; ada" || got.Reason == proto.ReasonSuspended && got.Message != tt.o.Suspended.String() {
				t.Errorf("says %q, want who and why", got.Message)
			}
		})
	}
}

func TestASuspendedAgentBeginsNothing(t *testing.T) {
	w := newWorld(t)
	begun, cut := w.fetchUntilCut()
	a, stop := w.startAgent()
	w.assign(7, pathB)
	w.awaitClosed("the fetch", begun)
	s, err := a.Suspend(t.Context(), control.SuspendRequest{For: time.Hour, Reason: "disk swap", By: "ada"})
	if err != nil || s.Until.Sub(s.Since) != time.Hour {
		t.Fatalf("Suspend = %+v, %v", s, err)
	}
	w.awaitClosed("the end of the fetch", cut)
	w.change(func() {
		w.fetch = func(context.Context, closure.FetchOrder) error { t.Error("fetched while suspended"); return nil }
	})
	stop()

	a, _ = w.startAgent() // it outlives the agent
	w.assign(8, pathB)
	got := w.awaitStatus("serial 8", func(s proto.Status) bool {
		return s.Serial == 8 && condition(s, proto.ConditionReady).Reason == proto.ReasonSuspended
	})
	if c := condition(got, proto.ConditionSuspended); c.Status != proto.StatusTrue || !strings.Contains(c.Message, "ada") || !strings.Contains(c.Message, "disk swap") || !c.Since.Equal(s.Since) {
		t.Errorf("suspended is %+v", c)
	}
	w.change(func() { w.fetch = func(context.Context, closure.FetchOrder) error { return nil } })
	if err := a.Resume(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	if d := w.awaitTransaction(); d.Serial != 8 {
		t.Errorf("deploys serial %d, want 8", d.Serial)
	}
	w.await("both to be told", func() bool {
		told := func(text string) bool {
			return slices.ContainsFunc(w.events, func(e proto.Event) bool { return strings.HasPrefix(e.Message, text) })
		}
		return told("suspended by ada until") && told("resumed by ada")
	})
}

// TestTheLogLeavesOutWhatNobodySaid has somebody do what he may give a reason for.
func TestTheLogLeavesOutWhatNobodySaid(t *testing.T) {
	armed := deployment.Deployment{ID: "7-x", Toplevel: pathC, Phase: proto.PhaseArmed, Way: deployment.WayBoot, Armed: true, Parked: true, BootID: "boot"}
	for _, tt := range []struct {
		name   string
		record deployment.Deployment
		do     func(a *agent.Agent, reason string) error
		want   string // of the line; %s is the deployment's ID
	}{
		{"goes back", deployment.Deployment{}, func(a *agent.Agent, reason string) error {
			_, err := a.RollBack(t.Context(), control.RollBackRequest{By: "ada", Reason: reason})
			return err
		}, `msg="goes back" by=ada deployment=%s toplevel=` + pathA.String()},
		{"takes back", armed, func(a *agent.Agent, reason string) error {
			_, err := a.RollBack(t.Context(), control.RollBackRequest{By: "ada", Reason: reason})
			return err
		}, `msg="taken back" by=ada deployment=%s`},
		{"suspends", deployment.Deployment{}, func(a *agent.Agent, reason string) error {
			_, err := a.Suspend(t.Context(), control.SuspendRequest{By: "ada", Reason: reason})
			return err
		}, `msg=suspended by=ada`},
	} {
		for reason, said := range map[string]string{"": "", "slow": " reason=slow"} {
			t.Run(tt.name+said, func(t *testing.T) {
				w := provenAfter(t)
				var log bytes.Buffer
				w.logged = &log
				w.record(tt.record)
				a, stop := w.startAgent()
				if err := tt.do(a, reason); err != nil {
					t.Fatal(err)
				}
				stop()
				d, err := w.files.Deployment()
				w.must(err)
				want := "level=INFO " + strings.ReplaceAll(tt.want, "%s", d.ID) + said + "\n"
				if !strings.Contains(log.String(), want) {
					t.Errorf("logged\n%swant\n%s", log.String(), want)
				}
			})
		}
	}
}

func TestASuspendedAgentSettlesWhatHasBegun(t *testing.T) {
	w := newWorld(t)
	w.record(deployment.Deployment{
		ID: "7-x", Serial: 7, Toplevel: pathB, Phase: proto.PhaseRollingBack, Proven: deployment.Proven{Toplevel: pathA},
	})
	if err := w.files.Suspend(statefile.Suspension{Since: time.Now()}); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.awaitTransaction()
}

func TestASuspensionThatCannotBeReadCounts(t *testing.T) {
	w := newWorld(t)
	if err := os.WriteFile(filepath.Join(w.files.State, "suspension.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	a, _ := w.startAgent()
	w.assign(7, pathB)
	s := w.awaitStatus("to be suspended", func(s proto.Status) bool {
		return condition(s, proto.ConditionReady).Reason == proto.ReasonSuspended
	})
	for c, want := range map[proto.ConditionType]proto.ConditionStatus{proto.ConditionSuspended: proto.StatusTrue, proto.ConditionStateValid: proto.StatusFalse} {
		if got := condition(s, c); got.Status != want || !strings.Contains(got.Message, "suspension.json") {
			t.Errorf("%s is %+v, want %s because of the file", c, got, want)
		}
	}
	if err := a.Resume(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	w.awaitTransaction()
}

func TestAVetoHoldsAnActivationBackUntilItEnds(t *testing.T) {
	w := newWorld(t)
	if err := w.files.Veto(statefile.Veto{Who: "backup", Why: "runs"}); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.assign(7, pathB)
	s := w.awaitStatus("to be held back", func(s proto.Status) bool {
		return condition(s, proto.ConditionReady).Reason == proto.ReasonInhibited
	})
	if c := condition(s, proto.ConditionInhibited); c.Status != proto.StatusTrue || c.Message != "backup: runs" {
		t.Errorf("inhibited is %+v, want who and why", c)
	}
	w.mu.Lock()
	if s.Deployment.Phase != proto.PhaseFetched || len(w.ensured) > 0 {
		t.Errorf("deployment is %+v, want it fetched and not begun", s.Deployment)
	}
	w.mu.Unlock()
	if err := w.files.EndVeto("backup"); err != nil {
		t.Fatal(err)
	}
	w.awaitTransaction()
}

func TestWhoIsInNoFileHoldsBackToo(t *testing.T) {
	w := newWorld(t)
	w.live = []statefile.Veto{{Who: "apt", Why: "unpacks"}}
	w.reboots = append(w.live, statefile.Veto{Who: "ada", Why: "is logged in"})
	if err := w.files.Veto(statefile.Veto{Who: "backup", Why: "runs"}); err != nil {
		t.Fatal(err)
	}
	a, _ := w.startAgent()
	w.assign(7, pathB)
	s := w.awaitStatus("to be held back", func(s proto.Status) bool {
		return condition(s, proto.ConditionReady).Reason == proto.ReasonInhibited
	})
	for c, want := range map[proto.ConditionType]string{
		proto.ConditionInhibited: "backup: runs; apt: unpacks", proto.ConditionRebootInhibited: "backup: runs; apt: unpacks; ada: is logged in",
	} {
		if got := condition(s, c); got.Status != proto.StatusTrue || got.Message != want {
			t.Errorf("%s is %+v, want it because of %s", c, got, want)
		}
	}
	want := `
		# HELP kedge_agent_vetoes How many hold back the activation of what is fetched, or a reboot.
		# TYPE kedge_agent_vetoes gauge
		kedge_agent_vetoes{of="activation"} 2
		kedge_agent_vetoes{of="reboot"} 3
	`
	if err := testutil.GatherAndCompare(w.registry, strings.NewReader(want), "kedge_agent_vetoes"); err != nil {
		t.Error(err)
	}

	// The bus breaks: who cannot be asked holds back nothing.
	w.change(func() { w.live, w.reboots, w.deaf = nil, nil, errors.New("the bus is gone") })
	if err := w.files.EndVeto("backup"); err != nil {
		t.Fatal(err)
	}
	if err := a.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.awaitTransaction()
}

func TestAVetoIsOverriddenInTheEndAndThatIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		if err := w.files.Veto(statefile.Veto{Who: "forgotten"}); err != nil {
			t.Fatal(err)
		}
		a := w.follow()
		synctest.Wait()
		w.assign(7, pathB)
		synctest.Wait()
		before := a.Outbox.Len()
		begun := func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return len(w.ensured) > 0
		}
		time.Sleep(inhibitMax - time.Minute)
		synctest.Wait()
		if begun() {
			t.Fatal("begun in spite of a veto")
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if !begun() {
			t.Fatal("held back for ever")
		}
		if got := a.Outbox.Len() - before; got != 1 {
			t.Errorf("%d events, want one that says so", got)
		}
	})
}

func TestRemembersHowDeploymentsEnded(t *testing.T) {
	w := newWorld(t)
	torn := filepath.Join(w.files.State, "history.json")
	if err := os.WriteFile(torn, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	stop := w.start()
	w.assign(7, pathB)
	d := w.awaitTransaction()
	w.commit(d)
	w.awaitStatus("the commit", func(s proto.Status) bool { return s.Deployment.Phase == proto.PhaseCommitted })
	w.await("the torn history to be told of", func() bool {
		return slices.ContainsFunc(w.events, func(e proto.Event) bool { return e.Reason == proto.ReasonStateUnreadable })
	})
	stop()
	a, _ := w.startAgent() // which finds it in the history already
	h, err := a.History()
	if err != nil || len(h.Deployments) != 1 {
		t.Fatalf("history is %+v, %v, want one deployment", h, err)
	}
	if p := h.Deployments[0]; p.ID != d.ID || p.Verdict != proto.VerdictSucceeded || len(p.Steps) != 6 {
		t.Errorf("remembers %+v, want how %s was committed", p, d.ID)
	}
	if _, err := os.Stat(torn + ".unreadable"); err != nil {
		t.Error(err)
	}
}

// Who asks an agent that was just started is not told that it has no connection.
func TestReconcileWaitsForAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.unread, w.offline, w.linked = bus.ErrNotConnected, true, make(chan struct{})
		a := w.follow()
		ask := func() chan error {
			answer := make(chan error, 1)
			go func() { answer <- a.Reconcile(t.Context()) }()
			synctest.Wait()
			return answer
		}
		if err := <-ask(); !errors.Is(err, bus.ErrNotConnected) {
			t.Errorf("Reconcile = %v, want that there is no connection", err)
		}
		answer := ask()
		w.change(func() { w.unread, w.offline = nil, false })
		close(w.linked)
		if err := <-answer; err != nil {
			t.Errorf("Reconcile = %v, although there is a connection", err)
		}
	})
}

// TestAReconciliationLeavesAReceiptOfItsOwn: a transaction that judges has the agent make
// contact once more in that way.
func TestAReconciliationLeavesAReceiptOfItsOwn(t *testing.T) {
	w := newWorld(t)
	a, _ := w.startAgent()
	w.assign(7, pathB)
	w.awaitTransaction()
	server, err := agent.ServeControl(t.Context(), a)
	w.must(err)
	defer server.Close()
	client := control.Client{Dir: w.files.Runtime}
	w.must(client.Reconcile(t.Context()))
	before, err := w.files.Contact()
	if err != nil || !before.Accepted {
		t.Fatalf("receipt is %+v (%v)", before, err)
	}
	w.must(client.Reconcile(t.Context()))
	again, err := w.files.Contact()
	if err != nil || !again.Accepted || again.At.Equal(before.At) {
		t.Errorf("receipt is %+v (%v), want another one than %+v", again, err, before)
	}
	w.change(func() { w.unread = errors.New("nobody answers") })
	if err := client.Reconcile(t.Context()); err == nil || !strings.Contains(err.Error(), "nobody answers") {
		t.Errorf("Reconcile = %v, want why it could not read", err)
	}
	if last, err := w.files.Contact(); err != nil || !last.At.Equal(again.At) {
		t.Errorf("receipt is %+v (%v), want what was there, %+v", last, err, again)
	}
}

func TestReconcileAndRest(t *testing.T) {
	w := newWorld(t)
	a, _ := w.startAgent()
	w.change(func() { w.unread = errors.New("nobody answers") })
	if err := a.Reconcile(t.Context()); err == nil || !strings.Contains(err.Error(), "nobody answers") {
		t.Errorf("Reconcile = %v, want why it could not read", err)
	}
	w.change(func() { w.unread = nil })
	w.assign(7, pathB)
	if err := a.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := w.awaitTransaction()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	rested := make(chan proto.Status, 1)
	go func() {
		s, err := a.Rested(ctx)
		if err != nil {
			t.Error(err)
		}
		rested <- s
	}()
	select {
	case s := <-rested:
		t.Fatalf("rests in the middle of a deployment: %+v", s)
	default:
	}
	w.commit(d)
	if s := <-rested; s.Deployment.Phase != proto.PhaseCommitted || condition(s, proto.ConditionReady).Status != proto.StatusTrue {
		t.Errorf("rests as %+v", s)
	}
}

func TestALiftedQuarantineIsTriedAtOnce(t *testing.T) {
	w := newWorld(t)
	if err := errors.Join(w.files.Quarantine(pathB, proto.ReasonUnitsFailed, time.Now()), w.files.Quarantine(pathC, proto.ReasonUnitsFailed, time.Now())); err != nil {
		t.Fatal(err)
	}
	a, _ := w.startAgent()
	w.assign(7, pathB)
	w.awaitStatus("the quarantine", func(s proto.Status) bool {
		return condition(s, proto.ConditionReady).Reason == proto.ReasonQuarantined
	})
	lock := w.lockTransaction()
	if _, err := a.Lift(t.Context(), control.LiftRequest{All: true}); !errors.Is(err, statefile.ErrLocked) {
		t.Errorf("lift while a transaction runs: %v", err)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	lifted, err := a.Lift(t.Context(), control.LiftRequest{Toplevel: pathB, By: "ada"})
	if err != nil || len(lifted) != 1 || lifted[0].Toplevel != pathB {
		t.Fatalf("Lift = %+v, %v", lifted, err)
	}
	w.awaitTransaction()
	if all, err := w.files.Quarantines(time.Now()); err != nil || len(all) != 1 || all[0].Toplevel != pathC {
		t.Errorf("quarantines are %+v, %v, want the other one left", all, err)
	}
}
