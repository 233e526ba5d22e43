package agent_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"kedge/agent"
	"kedge/agent/internal/activation"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/hook"
	"kedge/agent/internal/statefile"
	"kedge/proto"
)

// tidily runs a reconciler, and what tidies beside it, in a bubble of synctest.
func (w *world) tidily() *agent.Agent {
	w.t.Helper()
	a := w.follow()
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Tidy(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Tidy = %v", err)
		}
	})
	return a
}

// committed is a world whose host runs b, which the deployment 7-x committed.
func committed(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.systems.Current, w.systems.Profile = pathB, pathB
	w.record(deployment.Deployment{
		ID: "7-x", Serial: 7, Toplevel: pathB, Phase: proto.PhaseCommitted, Proven: deployment.Proven{Toplevel: pathA},
	})
	if err := w.files.SaveProven(deployment.Proven{Toplevel: pathB}); err != nil {
		t.Fatal(err)
	}
	return w
}

// requireTidied fails unless it was pruned and collected so often.
func (w *world) requireTidied(when string, prunes, collects int) {
	w.t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pruned) != prunes || w.collects != collects {
		w.t.Errorf("%s: pruned %d times and collected %d times, want %d and %d", when, len(w.pruned), w.collects, prunes, collects)
	}
}

func TestTidiesAfterACommit(t *testing.T) {
	w := newWorld(t)
	w.hooks = everyHook()
	ended := make(chan struct{})
	w.hook = func(ctx context.Context, c hook.Call) error {
		if c.Point == hook.PostCommit {
			select {
			case <-ended:
			case <-ctx.Done():
			}
		}
		return nil
	}
	w.start()
	w.assign(7, pathB)
	d := w.awaitTransaction()
	w.commit(d)
	w.await("the hooks after the commit", func() bool { return len(w.calls) == 3 })
	w.mu.Lock()
	if len(w.pruned)+w.collects > 0 {
		t.Errorf("tidied before they ended: %+v, %d", w.pruned, w.collects)
	}
	w.mu.Unlock()
	close(ended)
	w.await("it to be tidied", func() bool { return w.collects == 1 })
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pruned) != 1 || w.pruned[0].ID != d.ID {
		t.Errorf("pruned after %+v, want once, after %s", w.pruned, d.ID)
	}
}

func TestTidiesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := committed(t)
		w.tidily()
		w.requireTidied("at first", 1, 1)
		time.Sleep(time.Hour)
		w.requireTidied("later", 1, 1)
	})
}

func TestDoesNotTidy(t *testing.T) {
	for name, change := range map[string]func(w *world) error{
		"while suspended": func(w *world) error { return w.files.Suspend(statefile.Suspension{Since: time.Now()}) },
		"after an end that was bad": func(w *world) error {
			w.systems.Current, w.systems.Profile = pathA, pathA
			return errors.Join(w.files.SaveProven(deployment.Proven{Toplevel: pathA}),
				w.files.Save(deployment.Deployment{ID: "7-x", Toplevel: pathB, Phase: proto.PhaseRolledBack}))
		},
		"while a deployment is under way": func(w *world) error {
			return w.files.Save(deployment.Deployment{ID: "7-x", Toplevel: pathB, Phase: proto.PhaseProbation})
		},
		"where another system runs":         func(w *world) error { w.systems.Current = pathC; return nil },
		"where another one is registered":   func(w *world) error { w.systems.Profile = pathC; return nil },
		"where another one was adopted":     func(w *world) error { w.systems.Current, w.systems.Profile = pathC, pathC; return nil },
		"where nothing was deployed so far": func(w *world) error { return w.files.Save(deployment.Deployment{}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := committed(t)
				if err := change(w); err != nil {
					t.Fatal(err)
				}
				w.tidily()
				time.Sleep(10 * time.Minute)
				w.requireTidied(name, 0, 0)
			})
		})
	}
}

func TestTidiesAfterASuspension(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := committed(t)
		w.collect = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		a := w.tidily()
		w.requireTidied("at first", 1, 1)
		if err := w.files.Suspend(statefile.Suspension{Since: time.Now()}); err != nil {
			t.Fatal(err)
		}
		w.ring()
		w.change(func() { w.collect = nil })
		time.Sleep(10 * time.Minute)
		w.requireTidied("while suspended", 1, 1)
		if err := a.Resume(t.Context(), "ada"); err != nil {
			t.Fatal(err)
		}
		w.requireTidied("afterwards", 1, 1) // what was cut short waits for the next commit
	})
}

func TestWhatCannotBeTidiedChangesNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := committed(t)
		w.prune = func(context.Context, deployment.Deployment) ([]proto.Generation, error) {
			return []proto.Generation{1, 2}, errors.New("the boot loader refuses")
		}
		a := w.tidily()
		w.assign(7, pathB)
		w.requireTidied("at first", 1, 0)
		s := a.Status()
		if s.Deployment.Phase != proto.PhaseCommitted || s.Deployment.Reason != "" || condition(s, proto.ConditionReady).Status != proto.StatusTrue {
			t.Errorf("status is %+v", s)
		}
		time.Sleep(time.Minute)
		w.requireTidied("after a minute", 2, 0)
		time.Sleep(time.Minute)
		w.requireTidied("a minute later", 2, 0)
		time.Sleep(time.Minute)
		w.requireTidied("after two more", 3, 0)
		w.change(func() {
			w.prune = nil
			w.collect = func(context.Context) error { return errors.New("the database is locked") }
		})
		time.Sleep(4 * time.Minute)
		w.requireTidied("pruned", 4, 1)
		w.change(func() { w.collect = nil })
		time.Sleep(8 * time.Minute)
		w.requireTidied("collected", 5, 2)
		time.Sleep(time.Hour)
		w.requireTidied("done", 5, 2)

		text := `
# HELP kedge_agent_gc_failures_total Times that garbage could not be collected, or not in time.
# TYPE kedge_agent_gc_failures_total counter
kedge_agent_gc_failures_total 2
# HELP kedge_agent_gc_freed_bytes_total Bytes by which the free room in the store grew while garbage was collected.
# TYPE kedge_agent_gc_freed_bytes_total counter
kedge_agent_gc_freed_bytes_total 7.340032e+06
# HELP kedge_agent_gc_last_run_timestamp_seconds When a collection of garbage last ended; 0 for never.
# TYPE kedge_agent_gc_last_run_timestamp_seconds gauge
kedge_agent_gc_last_run_timestamp_seconds 5
# HELP kedge_agent_generations_delete_failures_total Times that old generations, or their boot entries, could not be deleted.
# TYPE kedge_agent_generations_delete_failures_total counter
kedge_agent_generations_delete_failures_total 3
# HELP kedge_agent_generations_deleted_total Generations of the system profile that were deleted.
# TYPE kedge_agent_generations_deleted_total counter
kedge_agent_generations_deleted_total 6
`
		if err := testutil.GatherAndCompare(w.registry, strings.NewReader(text), "kedge_agent_gc_failures_total", "kedge_agent_gc_freed_bytes_total",
			"kedge_agent_gc_last_run_timestamp_seconds", "kedge_agent_generations_delete_failures_total", "kedge_agent_generations_deleted_total"); err != nil {
			t.Error(err)
		}
	})
}

func TestTidyingYieldsToWhoeverIsAtWork(t *testing.T) {
	for _, somebody := range []error{statefile.ErrLocked, activation.ErrBusy} {
		synctest.Test(t, func(t *testing.T) {
			w := committed(t)
			w.prune = func(context.Context, deployment.Deployment) ([]proto.Generation, error) { return nil, somebody }
			w.tidily()
			for n := 1; n < 50; n++ {
				w.requireTidied("so far", n, 0)
				time.Sleep(5 * time.Second) // no longer, however often
			}
			text := `
# HELP kedge_agent_generations_delete_failures_total Times that old generations, or their boot entries, could not be deleted.
# TYPE kedge_agent_generations_delete_failures_total counter
kedge_agent_generations_delete_failures_total 0
`
			if err := testutil.GatherAndCompare(w.registry, strings.NewReader(text), "kedge_agent_generations_delete_failures_total"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestADeploymentEndsACollection(t *testing.T) {
	w := committed(t)
	ended := make(chan struct{})
	w.collect = func(ctx context.Context) error {
		<-ctx.Done()
		close(ended)
		return ctx.Err()
	}
	w.start()
	w.await("the collection", func() bool { return w.collects == 1 })
	w.assign(8, pathC)
	w.awaitTransaction()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("the collection goes on")
	}
}
