//go:build e2e

package alerts_test

import (
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
	} {
		if said, err := command.Run(t.Context(), command.Command{Args: append([]string{promtool}, args...)}); err != nil {
			t.Errorf("%v\n%s", err, said)
		}
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
