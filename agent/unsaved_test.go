package agent

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kedge/agent/internal/activation"
	"kedge/agent/internal/check"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/health"
	"kedge/agent/internal/statefile"
	"kedge/agent/internal/transaction"
	"kedge/proto"
)

// An unprovenHost runs a system that is not proven.
type unprovenHost struct {
	supersedes
	old, current proto.StorePath
	activated    []proto.StorePath
	agents       int  // how often the agent was restarted
	partial      bool // no activation comes to its end
	blind        bool // nothing can be judged
	activates    func()
}

func (h *unprovenHost) Systems() (proto.Systems, error) {
	return proto.Systems{Current: h.current, Booted: h.old, Profile: h.old}, nil
}

func (h *unprovenHost) Activate(ctx context.Context, p proto.StorePath, _ bool) (activation.Result, error) {
	h.activated = append(h.activated, p)
	if h.activates != nil {
		h.activates()
	}
	if h.partial {
		return activation.Result{Effect: activation.Partial}, ctx.Err()
	}
	h.current = p
	return activation.Result{Effect: activation.Active}, nil
}

func (h *unprovenHost) RestartAgent(context.Context) error {
	h.agents++
	return nil
}

func (h *unprovenHost) Restore(context.Context, deployment.Proven) error { return nil }

func (h *unprovenHost) Recalled(ctx context.Context, _ string) string {
	<-ctx.Done()
	return ""
}

func (h *unprovenHost) Judge(context.Context, check.Subject, deployment.Probation, deployment.Baseline) (health.Judgement, error) {
	if h.blind {
		return health.Judgement{}, errors.New("systemd does not answer")
	}
	return health.Judgement{Contact: true, Good: true}, nil
}

// unproven returns the transaction of a deployment whose activation has ended, which cannot
// be saved for the next failures.
func unproven(t *testing.T, failures int) (settling, *unprovenHost, *failingStore) {
	t.Helper()
	path := func(s string) proto.StorePath {
		return read(t, func() (proto.StorePath, error) {
			return proto.ParseStorePath("/nix/store/00000000000000000000000000000000-" + s)
		})
	}
	d := deployment.Deployment{
		ID: "7-x", Toplevel: path("new"), Proven: deployment.Proven{Toplevel: path("old")}, Phase: proto.PhaseActivating, Activations: 1,
		Way:               deployment.WayTest, // so that a good one ends without being registered
		ActivationTimeout: time.Minute,
		Probation:         deployment.Probation{Deadline: time.Minute}, RollbackProbation: deployment.Probation{Deadline: time.Minute},
	}
	host := &unprovenHost{old: d.Proven.Toplevel, current: d.Toplevel}
	store := &failingStore{failures: failures, record: d}
	return settling{
		options: transaction.Options{Host: host, Store: store, Log: slog.New(slog.DiscardHandler)},
		read:    func() (deployment.Deployment, error) { return store.record, nil },
		pause:   transactPauses,
		told:    statefile.Dir{Runtime: t.TempDir()},
	}, host, store
}

// TestAHostWhoseRecordCannotBeSavedGoesBackAllTheSame has the new system make the disk
// read-only, and for a while not even that.
func TestAHostWhoseRecordCannotBeSavedGoesBackAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, host, store := unproven(t, 20)
		began, meanwhile := time.Now(), false
		s.read = func() (deployment.Deployment, error) {
			if passed := time.Since(began); passed < 4*time.Minute || passed > 5*time.Minute {
				return store.record, nil
			}
			if meanwhile {
				return deployment.Deployment{}, fs.ErrPermission
			}
			meanwhile = true
			if !slices.Equal(host.activated, []proto.StorePath{host.old}) || host.agents != 1 || store.record.Phase != proto.PhaseActivating {
				t.Errorf("activated %v, restarted the agent %d times, and the record is %s", host.activated, host.agents, store.record.Phase)
			}
			if c := stuck(read(t, s.told.Stuck)); !strings.Contains(c.Message, "what was proven is brought back") || !strings.Contains(c.Message, errDisk.Error()) {
				t.Errorf("meanwhile it says %q", c.Message)
			}
			return deployment.Deployment{}, fs.ErrPermission
		}
		host.activates = func() { // whoever goes on after a kill must know
			if known := read(t, s.told.Stuck); known.Undone.Deployment != store.record.ID {
				t.Errorf("activates, and has told %+v", known)
			}
			host.activates = nil
		}
		if err := s.run(t.Context()); err != nil || !meanwhile {
			t.Fatalf("run = %v, and nobody looked meanwhile: %t", err, !meanwhile)
		}
		d := store.record
		if d.Phase != proto.PhaseInconclusive || d.Reason != proto.ReasonInterrupted || !strings.Contains(d.Message, errDisk.Error()) {
			t.Errorf("then it ended %s because of %q: %s", d.Phase, d.Reason, d.Message)
		}
		if slices.Contains(host.activated, d.Toplevel) || host.current != host.old {
			t.Errorf("activated %v", host.activated)
		}
		if known := read(t, s.told.Stuck); known != (statefile.Stuck{}) {
			t.Errorf("it still says %+v", known)
		}
	})
}

// TestARecordThatCanBeSavedInTimeIsGoneOnWith: what was proven is not brought back at once,
// nor because of something else than the record.
func TestARecordThatCanBeSavedInTimeIsGoneOnWith(t *testing.T) {
	for _, blind := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s, host, store := unproven(t, unsavedTries-1)
			if host.blind = blind; blind {
				store.record.Phase, store.record.Since, store.record.Probation.Deadline = proto.PhaseProbation, time.Now(), 24*time.Hour
			}
			ctx, stop := context.WithTimeout(t.Context(), time.Hour)
			defer stop()
			err := s.run(ctx)
			if blind != errors.Is(err, ErrUnsettled) || slices.Contains(host.activated, host.old) {
				t.Errorf("blind %t: run = %v, activated %v, ended %s", blind, err, host.activated, store.record.Phase)
			}
		})
	}
}

// TestWhoGoesOnAfterAWayBackWithoutARecordKnows ends the process once what was proven runs,
// or in the middle of its activation, and has the next one find a disk that is well.
func TestWhoGoesOnAfterAWayBackWithoutARecordKnows(t *testing.T) {
	for _, middle := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s, host, store := unproven(t, 1000)
			host.partial = middle
			ctx, stop := context.WithTimeout(t.Context(), 4*time.Minute)
			defer stop()
			if err := s.run(ctx); !errors.Is(err, ErrUnsettled) {
				t.Fatalf("run = %v", err)
			}
			host.partial, store.failures = false, 0
			if err := s.run(t.Context()); err != nil {
				t.Fatal(err)
			}
			d := store.record
			if d.Phase != proto.PhaseInconclusive || slices.Contains(host.activated, d.Toplevel) || host.current != host.old {
				t.Errorf("in the middle %t: ended %s: %s; activated %v", middle, d.Phase, d.Message, host.activated)
			}
		})
	}
}

// TestAWayBackWithoutARecordThatFailsIsNotTriedForEver on a disk that stays as it is.
func TestAWayBackWithoutARecordThatFailsIsNotTriedForEver(t *testing.T) {
	for partial, want := range map[bool]int{false: 1, true: 9} {
		synctest.Test(t, func(t *testing.T) {
			s, host, _ := unproven(t, 100000)
			host.partial = partial
			ctx, stop := context.WithTimeout(t.Context(), time.Hour)
			defer stop()
			if err := s.run(ctx); !errors.Is(err, ErrUnsettled) || len(host.activated) != want {
				t.Errorf("run = %v, activated %d times, want %d", err, len(host.activated), want)
			}
		})
	}
}
