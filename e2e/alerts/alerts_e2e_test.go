//go:build e2e

package alerts_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"kedge/e2e/internal/command"
)

const alerts = "../../docs/alerts"

// TestAlerts: Prometheus understands the alerts, and they fire when they shall.
func TestAlerts(t *testing.T) {
	promtool := promtool(t)
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

// promtool returns the program: this machine's, or that of Debian's package,
// unpacked and not installed: Prometheus itself shall not run here.
func promtool(t *testing.T) string {
	t.Helper()
	if path, err := exec.LookPath("promtool"); err == nil {
		return path
	}
	dir := t.TempDir()
	run := func(args ...string) error {
		_, err := command.Run(t.Context(), command.Command{Args: args, Dir: dir})
		return err
	}
	// Where nobody has asked for the lists yet, there is no such package.
	err := run("apt-get", "download", "prometheus")
	if err != nil && os.Geteuid() == 0 {
		if err = run("apt-get", "update"); err == nil {
			err = run("apt-get", "download", "prometheus")
		}
	}
	if err != nil {
		t.Fatalf("get promtool: %v", err)
	}
	packages, err := filepath.Glob(filepath.Join(dir, "prometheus_*.deb"))
	if err != nil || len(packages) != 1 {
		t.Fatalf("downloaded %q, %v", packages, err)
	}
	if err := run("dpkg-deb", "--extract", packages[0], "."); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "usr", "bin", "promtool")
}
