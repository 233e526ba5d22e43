//go:build e2e

package alerts_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"kedge/e2e/internal/command"
	"kedge/e2e/prometheus"
)

const alerts = "../../docs/alerts"

// TestAlerts: Prometheus understands the alerts, and they fire when they shall.
func TestAlerts(t *testing.T) {
	bin, err := prometheus.Unpack(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	promtool := filepath.Join(bin, "promtool")
	for _, args := range [][]string{
		{"check", "rules", filepath.Join(alerts, "kedge-agent.rules.yml")},
		{"test", "rules", filepath.Join(alerts, "kedge-agent.test.yml")},
		{"check", "rules", filepath.Join(alerts, "kedge-controller.rules.yml")},
		{"test", "rules", filepath.Join(alerts, "kedge-controller.test.yml")},
		{"check", "rules", filepath.Join(alerts, "kedge-rollouts.rules.yml")},
		{"test", "rules", filepath.Join(alerts, "kedge-rollouts.test.yml")},
	} {
		if said, err := command.Run(t.Context(), command.Command{Args: append([]string{promtool}, args...)}); err != nil {
			t.Errorf("%v\n%s", err, said)
		}
	}
	t.Run("dashboards", func(t *testing.T) { testDashboards(t, promtool) })
}

// testDashboards: Prometheus understands what the dashboards ask, as it would rules.
func testDashboards(t *testing.T, promtool string) {
	text, err := os.ReadFile("../../docs/dashboards/kedge-fleet.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	type rule struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	var rules []rule
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			rules = append(rules, rule{fmt.Sprint("panel:", len(rules)), target.Expr})
		}
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	text, err = json.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	said, err := command.Run(t.Context(), command.Command{Args: []string{promtool, "check", "rules", file}})
	if err != nil || len(rules) == 0 {
		t.Errorf("%d expressions: %v\n%s", len(rules), err, said)
	}
}
