package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/agent/internal/systemd"
	"kedge/proto"
)

func TestTransactionRunsFromTheProvenBinaryIfItIsThere(t *testing.T) {
	proven := filepath.Join(t.TempDir(), "kedge-agent")
	if err := os.WriteFile(proven, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	g := &systemdGuard{own: "/own", files: statefile.Dir{State: "/state", Runtime: "/run"}}
	for binary, want := range map[string]string{proven: proven, proven + "-collected": "/own", "": "/own"} {
		got := g.command(deployment.Deployment{ID: "7-x", Agent: binary})
		if diff := cmp.Diff([]string{want, "transact", "--deployment", "7-x", "--state-dir", "/state", "--runtime-dir", "/run"}, got); diff != "" {
			t.Errorf("recorded %q (-want +got):\n%s", binary, diff)
		}
	}
}

// A fakeSystemd has units that end and are started again.
type fakeSystemd struct {
	restarting []string
	started    [][]string
	stopped    []string
}

func (f *fakeSystemd) Unit(_ context.Context, name string) (systemd.Unit, error) {
	if !slices.Contains(f.restarting, name) {
		return systemd.Unit{Name: name, LoadState: "not-found", ActiveState: systemd.Inactive}, nil
	}
	return systemd.Unit{Name: name, ActiveState: systemd.Activating, SubState: "auto-restart"}, nil
}

func (f *fakeSystemd) ResetFailed(context.Context, string) error { return nil }

func (f *fakeSystemd) StartTransient(_ context.Context, u systemd.TransientUnit) error {
	f.started = append(f.started, u.ExecStart)
	return nil
}

func (f *fakeSystemd) StopUnit(_ context.Context, name string) error {
	f.stopped = append(f.stopped, name)
	return nil
}

func (f *fakeSystemd) Rest() {}

func TestATransactionWhoseProgramCannotRunGetsAnother(t *testing.T) {
	torn := filepath.Join(t.TempDir(), "kedge-agent")
	if err := os.WriteFile(torn, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	d := deployment.Deployment{ID: "7-x", Agent: torn, Phase: proto.PhaseProbation}
	guard := func(f *fakeSystemd) *systemdGuard {
		return &systemdGuard{systemd: f, own: "/own", files: statefile.Dir{State: t.TempDir(), Runtime: t.TempDir()}}
	}
	t.Run("in its own unit, if it ends again and again", func(t *testing.T) {
		f := &fakeSystemd{restarting: []string{d.Unit()}}
		g := guard(f)
		for range maxEnded - 1 {
			if err := g.Ensure(t.Context(), d); err != nil || len(f.stopped) > 0 {
				t.Fatalf("Ensure = %v, stopped %v: it may have been killed", err, f.stopped)
			}
		}
		if err := g.Ensure(t.Context(), d); err == nil || !strings.Contains(err.Error(), torn) {
			t.Errorf("Ensure = %v, want that %s does not run", err, torn)
		}
		if len(f.stopped) != 1 || len(f.started) != 1 || f.started[0][0] != "/own" {
			t.Errorf("stopped %v, and started %v", f.stopped, f.started)
		}
	})
	t.Run("not if it had the lock in between", func(t *testing.T) {
		f := &fakeSystemd{restarting: []string{d.Unit()}}
		g := guard(f)
		for range maxEnded + 1 {
			if err := g.Ensure(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			lock, err := g.files.LockTransaction()
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(g.Ensure(t.Context(), d), lock.Unlock()); err != nil {
				t.Fatal(err)
			}
		}
		if len(f.stopped) > 0 {
			t.Errorf("stopped %v", f.stopped)
		}
	})
	t.Run("beside the unit of a trial boot", func(t *testing.T) {
		f := &fakeSystemd{restarting: []string{trialUnit}}
		trial := d
		trial.Trial = true
		if err := guard(f).Ensure(t.Context(), trial); err != nil || len(f.started) != 1 {
			t.Errorf("Ensure = %v, started %v; want its own unit to be", err, f.started)
		}
	})
}

func TestSystemdIsNotAskedAboutATransactionThatHasTheLock(t *testing.T) {
	g := &systemdGuard{systemd: &systemd.Client{}, files: statefile.Dir{State: t.TempDir(), Runtime: t.TempDir()}}
	ended, end := context.WithCancel(t.Context())
	end() // so that asking fails
	ensure := func(p proto.Phase) error {
		return g.Ensure(ended, deployment.Deployment{ID: "7-x", Phase: p})
	}
	if err := ensure(proto.PhaseProbation); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody has the lock: got %v, want systemd to be asked", err)
	}
	lock, err := g.files.LockTransaction()
	if err != nil {
		t.Fatal(err)
	}
	if err := ensure(proto.PhaseProbation); err != nil {
		t.Errorf("the transaction has it: got %v, want systemd not to be asked", err)
	}
	if err := ensure(proto.PhaseFetched); !errors.Is(err, context.Canceled) {
		t.Errorf("none has begun: got %v, want one to be started", err)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
}
