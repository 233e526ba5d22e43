package controller

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestAlertsAndDashboardsAreOnMetricsThatThereAre looks at the names in them; e2e/alerts has Prometheus read
// the alerts, and every expression of the dashboards.
func TestAlertsAndDashboardsAreOnMetricsThatThereAre(t *testing.T) {
	names := metricNames(t)
	for _, pattern := range []string{"../docs/alerts/*.yml", "../docs/dashboards/*.json"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %q, %v", pattern, files, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range regexp.MustCompile(`kedge_controller_\w+`).FindAllString(string(text), -1) {
				if !slices.Contains(names, strings.TrimSuffix(name, "_bucket")) {
					t.Errorf("%s: there is no metric %s", file, name)
				}
			}
		}
	}
}

// metricNames returns the names of the reference, which another test holds to what there is.
func metricNames(t *testing.T) (names []string) {
	t.Helper()
	text, err := os.ReadFile("../docs/reference/metrics-controller.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)`").FindAllStringSubmatch(string(text), -1) {
		names = append(names, m[1])
	}
	return names
}

// TestDashboards: a dashboard is what Grafana takes, each panel with something to show, and no two at one place.
func TestDashboards(t *testing.T) {
	text, err := os.ReadFile("../docs/dashboards/kedge-fleet.json")
	if err != nil {
		t.Fatal(err)
	}
	type area struct{ X, Y, W, H int }
	var d struct {
		UID, Title string
		Panels     []struct {
			ID      int
			Title   string
			GridPos area
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	if d.UID == "" || d.Title == "" || len(d.Panels) == 0 {
		t.Errorf("dashboard %q, %q has %d panels", d.UID, d.Title, len(d.Panels))
	}
	for i, p := range d.Panels {
		if p.ID != i+1 || p.Title == "" || len(p.Targets) == 0 {
			t.Errorf("panel %d, %q, shows %d things", p.ID, p.Title, len(p.Targets))
		}
		for _, q := range d.Panels[:i] {
			if a, b := p.GridPos, q.GridPos; a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("panels %q and %q are at one place", p.Title, q.Title)
			}
		}
	}
}
