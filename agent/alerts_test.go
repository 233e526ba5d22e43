package agent_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"kedge/agent/internal/deployment"
	"kedge/proto"
)

// TestAlertsAreOnMetricsThatThereAre looks at the names in the alerts; e2e/alerts
// has Prometheus read them.
func TestAlertsAreOnMetricsThatThereAre(t *testing.T) {
	files, err := filepath.Glob("../docs/alerts/kedge-agent.*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("alerts are %q, %v", files, err)
	}
	w := newWorld(t)
	w.agent()
	all, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names, conditions []string
	for _, family := range all {
		names = append(names, family.GetName())
		for _, m := range family.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "type" {
					conditions = append(conditions, l.GetValue())
				}
			}
		}
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`kedge_agent_\w+`).FindAllString(string(text), -1) {
			if !slices.Contains(names, name) {
				t.Errorf("%s: there is no metric %s", file, name)
			}
		}
		for _, match := range regexp.MustCompile(`type="(\w+)"`).FindAllStringSubmatch(string(text), -1) {
			if !slices.Contains(conditions, match[1]) {
				t.Errorf("%s: there is no condition %s", file, match[1])
			}
		}
	}
}

func TestAFailedRollbackIsAMetricUntilItIsHealed(t *testing.T) {
	for _, tt := range []struct {
		name  string
		phase proto.Phase
		boot  string
		want  float64
	}{
		{"failed in this boot", proto.PhaseRollbackFailed, "boot", 1},
		{"failed in an earlier boot", proto.PhaseRollbackFailed, "before", 0},
		{"went well", proto.PhaseRolledBack, "boot", 0},
	} {
		w := newWorld(t)
		w.record(deployment.Deployment{ID: "7-x", Serial: 7, Toplevel: pathB, Phase: tt.phase, BootID: tt.boot})
		w.agent()
		if got := w.gauge("kedge_agent_rollback_failed"); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

// gauge returns the value of a metric without labels.
func (w *world) gauge(name string) float64 {
	w.t.Helper()
	all, err := w.registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, family := range all {
		if family.GetName() == name {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	w.t.Fatalf("there is no metric %s", name)
	return 0
}
