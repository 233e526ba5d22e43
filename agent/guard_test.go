package agent

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kedge/agent/internal/deployment"
)

func TestTransactionRunsFromTheProvenBinaryIfItIsThere(t *testing.T) {
	proven := filepath.Join(t.TempDir(), "kedge-agent")
	if err := os.WriteFile(proven, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	g := systemdGuard{own: "/own", stateDir: "/state", runtimeDir: "/run"}
	for binary, want := range map[string]string{proven: proven, proven + "-collected": "/own", "": "/own"} {
		got := g.command(deployment.Deployment{ID: "7-x", Agent: binary})
		if diff := cmp.Diff([]string{want, "transact", "--deployment", "7-x", "--state-dir", "/state", "--runtime-dir", "/run"}, got); diff != "" {
			t.Errorf("recorded %q (-want +got):\n%s", binary, diff)
		}
	}
}
