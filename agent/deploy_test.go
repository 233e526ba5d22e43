package agent

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"kedge/agent/internal/closure"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/hook"
	"kedge/agent/internal/statefile"
	"kedge/proto"
)

// TestAgentNeverWritesOverATransaction has the record go on between what the
// agent saw and what it then writes.
func TestAgentNeverWritesOverATransaction(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	seen := deployment.Deployment{ID: "7-x", Serial: 7, Phase: proto.PhaseAccepted}
	writes := map[string]func(a *Agent) error{
		"supersede": func(a *Agent) error {
			return a.advance(seen.ID, deployment.Step{Phase: proto.PhaseSuperseded})
		},
		"fail": func(a *Agent) error { return a.keepFetched(fetchResult{id: seen.ID, err: errDisk}) },
		"keep what was fetched": func(a *Agent) error {
			return a.keepFetched(fetchResult{id: seen.ID, fetched: Fetched{Probation: deployment.Probation{Grace: time.Hour}}})
		},
		"begin another": func(a *Agent) error {
			o := Observation{Record: seen, Order: &proto.Order{Assignment: proto.Assignment{Serial: 8}}}
			return a.begin(o, 1)
		},
	}
	other := deployment.Deployment{ID: "8-y", Serial: 8, Phase: proto.PhaseAccepted}
	activating, ended := seen, seen
	activating.Phase, ended.Phase = proto.PhaseActivating, proto.PhaseCommitted
	newAgent := func() *Agent {
		files := statefile.Dir{State: t.TempDir(), Runtime: t.TempDir()}
		o := Options{Files: files, Now: func() time.Time { return at }, Log: slog.New(slog.DiscardHandler)}
		return &Agent{Options: o, reported: newReportCursor(files)}
	}
	for name, write := range writes {
		for _, on := range []deployment.Deployment{activating, ended, other} {
			a := newAgent()
			if err := a.Files.Save(on); err != nil {
				t.Fatal(err)
			}
			if err := write(a); err != nil {
				t.Errorf("%s over %s, %s: %v", name, on.ID, on.Phase, err)
			}
			got, err := a.Files.Deployment()
			if err != nil || got.ID != on.ID || got.Phase != on.Phase || got.Probation.Grace != 0 {
				t.Errorf("%s over %s, %s: the record is %s, %s (%v), want it left alone", name, on.ID, on.Phase, got.ID, got.Phase, err)
			}
		}
		a := newAgent()
		if err := a.Files.Save(seen); err != nil {
			t.Fatal(err)
		}
		lock, err := a.Files.LockTransaction()
		if err != nil {
			t.Fatal(err)
		}
		if err := write(a); !errors.Is(err, statefile.ErrLocked) {
			t.Errorf("%s while a transaction runs: %v, want %v", name, err, statefile.ErrLocked)
		}
		if err := lock.Unlock(); err != nil {
			t.Fatal(err)
		}
		if err := write(a); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := a.Files.Deployment(); err != nil || got.ID == seen.ID && got.Phase == seen.Phase {
			t.Errorf("%s: the record is still %s, %s (%v)", name, got.ID, got.Phase, err)
		}
	}
}

func TestInterruptions(t *testing.T) {
	order := &proto.Order{Assignment: proto.Assignment{Serial: 7}}
	for _, tt := range []struct {
		name   string
		record deployment.Deployment
		want   int
	}{
		{"none", deployment.Deployment{}, 0},
		{"failed fetches are none", deployment.Deployment{Serial: 7, Attempt: 4, Reason: proto.ReasonCacheUnreachable}, 0},
		{"a power loss is one", deployment.Deployment{Serial: 7, Attempt: 1, Reason: proto.ReasonPowerLoss}, 1},
		{"earlier ones are remembered", deployment.Deployment{Serial: 7, Interrupted: 1, Reason: proto.ReasonNoContact}, 1},
		{"of another assignment they are not", deployment.Deployment{Serial: 6, Interrupted: 1, Reason: proto.ReasonPowerLoss}, 0},
	} {
		if got := interruptions(Observation{Record: tt.record, Order: order}); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}
}

// cutShort is a fetcher that works until it is stopped.
type cutShort struct{ Fetcher }

func (cutShort) Fetch(ctx context.Context, _ closure.FetchOrder) (Fetched, error) {
	<-ctx.Done()
	return Fetched{}, ctx.Err()
}

func TestAFetchThatIsCutShortHasNoResult(t *testing.T) {
	for range 20 { // which of two channels a select takes is left to chance
		a := &Agent{Options: Options{Fetcher: cutShort{}}, fetched: make(chan fetchResult, 1)}
		ctx, cancel := context.WithCancel(t.Context())
		if err := a.startFetch(ctx, deployment.Deployment{ID: "7-x"}, proto.Order{}); err != nil {
			t.Fatal(err)
		}
		cancel()
		<-a.fetch.done
		select {
		case r := <-a.fetched:
			t.Fatalf("a fetch that was stopped ended with %v", r.err)
		default:
		}
	}
}

// Run is of hooks that work until they are stopped.
func (cutShort) Run(ctx context.Context, _ hook.Call) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestHooksThatAreCutShortHaveNoResult(t *testing.T) {
	c := hook.Call{Point: hook.PreActivate, Hooks: []hook.Hook{{}}, Deployment: deployment.Deployment{ID: "7-x"}}
	for range 20 { // which of two channels a select takes is left to chance
		a := &Agent{Options: Options{Hooks: cutShort{}, Log: slog.New(slog.DiscardHandler)}, hooked: make(chan hookResult, 1)}
		ctx, cancel := context.WithCancel(t.Context())
		if err := a.startHooks(ctx, c); err != nil {
			t.Fatal(err)
		}
		cancel()
		<-a.hooking.done
		select {
		case r := <-a.hooked:
			t.Fatalf("hooks that were stopped ended with %v", r.err)
		default:
		}
	}
}

func TestAResultThatCannotBeRecordedIsToldBeforeItIsFetchedAgain(t *testing.T) {
	a := &Agent{
		Options: Options{Fetcher: cutShort{}, Files: statefile.Dir{State: t.TempDir(), Runtime: t.TempDir()}, Now: time.Now},
		fetched: make(chan fetchResult, 1),
	}
	d := deployment.Deployment{ID: "7-x"}
	if err := a.startFetch(t.Context(), d, proto.Order{}); err != nil {
		t.Fatal(err)
	}
	lock, err := a.Files.LockTransaction() // any reason will do
	if err != nil {
		t.Fatal(err)
	}
	a.endFetch(fetchResult{id: d.ID})
	if err := a.startFetch(t.Context(), d, proto.Order{}); !errors.Is(err, statefile.ErrLocked) || a.fetch != nil {
		t.Errorf("startFetch = %v, want why the last result could not be recorded, and no fetch", err)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := a.startFetch(t.Context(), d, proto.Order{}); err != nil || a.fetch == nil {
		t.Errorf("startFetch = %v, want another fetch", err)
	}
	a.stopFetch()
}

// heldUp is a fetcher whose first fetch waits for a disk, whatever its context says.
type heldUp struct {
	Fetcher
	disk   chan struct{}
	begins chan proto.StorePath
}

func (h heldUp) Fetch(_ context.Context, o closure.FetchOrder) (Fetched, error) {
	h.begins <- o.Toplevel
	<-h.disk
	return Fetched{}, nil
}

func TestAFetchThatADiskHoldsUpHoldsNobodyElseUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := heldUp{disk: make(chan struct{}), begins: make(chan proto.StorePath, 3)}
		a := &Agent{
			Options: Options{Config: DefaultConfig(), Fetcher: h, Log: slog.New(slog.DiscardHandler), Now: time.Now},
			fetched: make(chan fetchResult, 1),
		}
		for _, id := range []string{"7-x", "8-y", "9-z"} {
			began := time.Now()
			if err := a.startFetch(t.Context(), deployment.Deployment{ID: id}, proto.Order{}); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took > fetchPatience {
				t.Errorf("%s: began after %s", id, took)
			}
			synctest.Wait()
		}
		if n := len(h.begins); n != 1 {
			t.Errorf("%d fetches at once", n)
		}
		close(h.disk)
		if r := <-a.fetched; r.id != "9-z" {
			t.Errorf("%s was fetched, want only what was begun last", r.id)
		}
		if n := len(h.begins); n != 2 {
			t.Errorf("%d fetches, want the first and the last", n)
		}
		a.stopFetch()
		synctest.Wait()
		if len(a.fetched) > 0 {
			t.Errorf("%s has a result", (<-a.fetched).id)
		}
	})
}
