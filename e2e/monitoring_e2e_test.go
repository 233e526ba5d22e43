//go:build e2e

package e2e_test

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"kedge/e2e/fleet"
	"kedge/e2e/prometheus"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// prometheusConfig has Prometheus scrape the controller alone, which nobody but it can reach the hosts through.
const prometheusConfig = `
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [/srv/prometheus/*.rules.yml]
scrape_configs:
  - job_name: kedge
    scheme: https
    tls_config: {insecure_skip_verify: true}
    static_configs: [{targets: ["127.0.0.1:8080"]}]
`

// TestMonitoring: a real Prometheus that knows the controller alone sees a host go well, go back, and go well
// again: in its metrics, and in its alerts. Each time the host itself, its agent's metrics, the controller's, the
// command line and the API over HTTP say the same.
func TestMonitoring(t *testing.T) {
	t.Parallel()
	f := up(t, "web1")
	h := f.Host("web1")
	startPrometheus(t, f)
	commit(t, f, "good", func(w *toplevel.Fleet) { fleet.Edit(w, fleet.App("good")) })
	good := requireOn(t, h, "good")
	v := h.MustAwaitView(t, "a status", func(v proto.HostView) bool { return v.Status != nil })
	awaitSeries(t, f, `kedge_controller_host_ready{host="web1"} == 1`)
	awaitSeries(t, f, `kedge_controller_host_info{host="web1", generation="`+v.Status.Systems.Generation.String()+`", revision="`+v.Status.Systems.Revision.String()+`"}`)
	awaitSeries(t, f, `absent(ALERTS{host="web1"})`)
	awaitSeries(t, f, `kedge_controller_push_to_commit_seconds_count == 1`)
	requireAgreement(t, f, h, 1)

	bad := f.MustPush(t, "bad", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("bad"))
		fleet.Edit(w, fleet.AddUnit("broken.service", toplevel.ExitsAtOnce("cannot open the frobnicator")))
	})
	h.MustAwaitPhase(t, bad, proto.PhaseRolledBack)
	requireSame(t, h, good)
	awaitSeries(t, f, `ALERTS{alertname="KedgeHostRolledBack", host="web1", reason="units-failed", alertstate="firing"}`)
	awaitSeries(t, f, `kedge_controller_host_ready{host="web1"} == 0`)
	awaitSeries(t, f, `kedge_controller_deployments_total{verdict="rolled-back"} == 1`)
	awaitSeries(t, f, `kedge_controller_rollbacks_total{reason="units-failed"} == 1`)
	requireAgreement(t, f, h, 1)
	requireRoom(t, h)

	commit(t, f, "better", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("better"))
		fleet.Edit(w, func(h *toplevel.Host) { delete(h.Units, "broken.service") })
	})
	awaitSeries(t, f, `absent(ALERTS{host="web1"})`)
	awaitSeries(t, f, `kedge_controller_host_ready{host="web1"} == 1`)
	awaitSeries(t, f, `kedge_controller_push_to_commit_seconds_count == 2`)
	requireAgreement(t, f, h, 2)
}

// startPrometheus starts Prometheus on the build host, with the alerts of the documentation, which do not wait
// before they fire.
func startPrometheus(t *testing.T, f *fleet.Fleet) {
	t.Helper()
	bin, err := prometheus.Unpack(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(filepath.Join(bin, "prometheus"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"prometheus": program, "prometheus.yml": []byte(prometheusConfig)}
	rules, err := filepath.Glob("../docs/alerts/*.rules.yml")
	if err != nil || len(rules) == 0 {
		t.Fatalf("alerts are %q, %v", rules, err)
	}
	for _, file := range rules {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(file)] = regexp.MustCompile(`(?m)^ *for: .*\n`).ReplaceAll(text, nil)
	}
	for name, text := range files {
		if err := f.Build().WriteFile("/srv/prometheus/"+name, text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	f.MustRunOnBuild(t, "systemd-run", "--quiet", "--unit=prometheus", "/srv/prometheus/prometheus", "--config.file=/srv/prometheus/prometheus.yml",
		"--storage.tsdb.path=/srv/prometheus/tsdb", "--web.listen-address=127.0.0.1:9090")
	awaitSeries(t, f, `up{job="kedge"} == 1`)
}

// awaitSeries waits until Prometheus has a series for the expression.
func awaitSeries(t *testing.T, f *fleet.Fleet, expr string) {
	t.Helper()
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	var said string
	for deadline := time.After(time.Minute); ; {
		said, _ = f.Build().Run(t.Context(), "curl", "--silent", "http://127.0.0.1:9090/api/v1/query?query="+url.QueryEscape(expr)) // it may not be up yet
		var answer struct {
			Status string
			Data   struct{ Result []json.RawMessage }
		}
		if err := json.Unmarshal([]byte(said), &answer); err == nil && answer.Status == "success" && len(answer.Data.Result) > 0 {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("Prometheus has nothing for %s: %s", expr, said)
		}
	}
}
