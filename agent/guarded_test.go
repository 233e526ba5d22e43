package agent_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"kedge/agent/internal/closure"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/proto"
	"kedge/proto/bus"
)

// record puts d on the disk before an agent runs.
func (w *world) record(d deployment.Deployment) {
	w.t.Helper()
	if err := w.files.Prepare(); err != nil {
		w.t.Fatal(err)
	}
	if err := w.files.Save(d); err != nil {
		w.t.Fatal(err)
	}
}

// lockTransaction takes the lock as soon as the agent gives it away: what it
// writes can be seen a moment before that.
func (w *world) lockTransaction() *statefile.Lock {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	for {
		lock, err := w.files.LockTransaction()
		if err == nil {
			return lock
		}
		if !errors.Is(err, statefile.ErrLocked) || ctx.Err() != nil {
			w.t.Fatal(err)
		}
		runtime.Gosched()
	}
}

func TestNothingBesideTheRecordKeepsAHostFromBeingSettled(t *testing.T) {
	for _, name := range []string{"proven.json", "quarantine.json", "floors.json", "reported.json", "hooks.json"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.record(deployment.Deployment{
				ID: "7-x", Serial: 7, Toplevel: pathB, Phase: proto.PhaseProbation, Proven: deployment.Proven{Toplevel: pathA},
				History: []deployment.Step{{Phase: proto.PhaseProbation}},
			})
			if err := os.WriteFile(filepath.Join(w.files.State, name), []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
			w.start()
			w.awaitTransaction()
		})
	}
}

func TestATransactionThatRunsKeepsItsRecord(t *testing.T) {
	w := newWorld(t)
	w.fetch = func(ctx context.Context, _ closure.FetchOrder) error { <-ctx.Done(); return ctx.Err() }
	w.start()
	w.assign(7, pathB)
	w.awaitStatus("the fetch", func(s proto.Status) bool { return s.Deployment.Phase == proto.PhaseAccepted })
	lock := w.lockTransaction()
	// The agent is about to supersede the deployment; meanwhile it went on.
	before, err := w.files.Deployment()
	if err != nil {
		t.Fatal(err)
	}
	w.assign(8, pathC)
	w.awaitStatus("the newer assignment", func(s proto.Status) bool { return s.Serial == 8 })
	d := before
	for _, p := range []proto.Phase{proto.PhaseFetched, proto.PhaseActivating} {
		if d, err = d.Advance(deployment.Step{Phase: p, Time: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.files.Save(d); err != nil {
		t.Fatal(err)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	w.ring()
	if got := w.awaitTransaction(); got.ID != before.ID || got.Phase != proto.PhaseActivating {
		t.Errorf("seen to is %s, %s, want %s, activating", got.ID, got.Phase, before.ID)
	}
}

func TestVerifiesAgainBeforeTheTransaction(t *testing.T) {
	w := newWorld(t)
	withdraw := func() {
		d, err := proto.ParseDesired(w.desired)
		if err != nil {
			t.Error(err)
			return
		}
		f, err := w.files.Floor()
		if err != nil {
			t.Error(err)
		}
		f.Withdrawn = []proto.Digest{proto.DigestOf(d.Release.Payload)}
		if err := w.files.SaveFloor(f); err != nil {
			t.Error(err)
		}
	}
	w.fetch = func(context.Context, closure.FetchOrder) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		withdraw()
		return nil
	}
	w.start()
	w.assign(7, pathB)
	s := w.awaitStatus("the end", func(s proto.Status) bool { return s.Deployment.Phase == proto.PhaseFailed })
	if s.Deployment.Reason != proto.ReasonWithdrawn {
		t.Errorf("ended because of %q, want %q", s.Deployment.Reason, proto.ReasonWithdrawn)
	}
	w.awaitStatus("the refusal", func(s proto.Status) bool {
		return condition(s, proto.ConditionAccepted).Reason == proto.ReasonWithdrawn
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.ensured) > 0 {
		t.Errorf("a transaction was started: %+v", w.ensured)
	}
}

func TestAnOversizedDesiredStateIsRefusedAndNotAskedForAgain(t *testing.T) {
	w := newWorld(t)
	w.unread = bus.ErrTooLarge
	w.start()
	w.ring()
	w.awaitStatus("a refusal", func(s proto.Status) bool {
		return condition(s, proto.ConditionAccepted).Reason == proto.ReasonOversized
	})
}

func TestAFetchThatIsCutShortFailsNothing(t *testing.T) {
	w := newWorld(t)
	begun := 0
	w.fetch = func(ctx context.Context, _ closure.FetchOrder) error {
		w.change(func() { begun++ })
		<-ctx.Done()
		return ctx.Err()
	}
	for n := range 10 { // which of two channels a select takes is left to chance
		stop := w.start()
		w.assign(7, pathB)
		w.await("the fetch", func() bool { return begun > n })
		stop()
		if d, err := w.files.Deployment(); err != nil || d.Phase != proto.PhaseAccepted || d.Attempt != 1 {
			t.Fatalf("the record is %+v (%v), want it accepted as before", d, err)
		}
	}
}

func TestEndsIfItCannotSeeItsRecordAnyMore(t *testing.T) {
	w := newWorld(t)
	a := w.agent()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	w.awaitStatus("a status", func(s proto.Status) bool { return s.Host == w.host })
	for os.RemoveAll(w.files.State) != nil { // it fails while the agent still writes
		if ctx.Err() != nil {
			t.Fatal("it writes for ever")
		}
	}
	if err := <-ended; err == nil {
		t.Error("Run ended without an error")
	}
}

func TestARefusalPutsTheOrderBeforeItOutOfForce(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.assign(7, pathA)
	w.awaitStatus("the host to be ready", func(s proto.Status) bool {
		return condition(s, proto.ConditionReady).Status == proto.StatusTrue
	})
	w.assignBy(8, pathB, w.release, newKey(t, "mallory"))
	s := w.awaitStatus("the refusal", func(s proto.Status) bool {
		return condition(s, proto.ConditionReady).Reason == proto.ReasonUnknownKey
	})
	if got := condition(s, proto.ConditionReady).Status; got != proto.StatusFalse || s.Serial != 0 {
		t.Errorf("ready is %s, serial %d: want nothing wanted of the host that it believes", got, s.Serial)
	}
}

func TestAFetchEndsWithItsDeployment(t *testing.T) {
	w := newWorld(t)
	begun, ended := w.fetchUntilCut()
	stop := w.start()
	w.assign(7, pathB)
	w.awaitClosed("the fetch", begun)
	w.assign(8, pathA) // what runs already: nothing else is fetched
	w.awaitStatus("the end", func(s proto.Status) bool { return s.Deployment.Phase == proto.PhaseSuperseded })
	select {
	case <-ended:
	default:
		t.Error("the deployment is over, and its fetch goes on")
	}
	stop()
}
