package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
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
	g := systemdGuard{own: "/own", files: statefile.Dir{State: "/state", Runtime: "/run"}}
	for binary, want := range map[string]string{proven: proven, proven + "-collected": "/own", "": "/own"} {
		got := g.command(deployment.Deployment{ID: "7-x", Agent: binary})
		if diff := cmp.Diff([]string{want, "transact", "--deployment", "7-x", "--state-dir", "/state", "--runtime-dir", "/run"}, got); diff != "" {
			t.Errorf("recorded %q (-want +got):\n%s", binary, diff)
		}
	}
}

func TestSystemdIsNotAskedAboutATransactionThatHasTheLock(t *testing.T) {
	g := systemdGuard{systemd: &systemd.Client{}, files: statefile.Dir{State: t.TempDir(), Runtime: t.TempDir()}}
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
