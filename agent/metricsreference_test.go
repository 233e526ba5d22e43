package agent_test

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"kedge/agent/internal/deployment"
	"kedge/internal/manual"
	"kedge/proto"
)

var update = flag.Bool("update", false, "write the reference anew")

// TestTheReferenceHasEveryMetric: docs/reference is what the agent shows.
func TestTheReferenceHasEveryMetric(t *testing.T) {
	w := newWorld(t)
	w.record(deployment.Deployment{
		ID: "7-x", Serial: 7, Toplevel: pathB, Phase: proto.PhaseRolledBack, Checks: []proto.CheckResult{{Name: "web"}},
	})
	w.agent()
	got, err := manual.Metrics("kedge-agent", "kedge_agent_", w.registry)
	if err != nil {
		t.Fatal(err)
	}
	const file = "../docs/reference/metrics-agent.md"
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what the agent shows (%v); run `make manual`", file, err)
	}
}
