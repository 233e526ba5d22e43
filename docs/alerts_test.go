package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryAlertIsSeenToFireAndNot: what promtool is given has, for each alert, an instant at which it is among those that
// fire, and one at which others do and it does not. e2e/alerts has promtool say whether that is so.
func TestEveryAlertIsSeenToFireAndNot(t *testing.T) {
	files, err := filepath.Glob("alerts/*.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range files {
		rules, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tests, err := os.ReadFile(strings.TrimSuffix(file, ".rules.yml") + ".test.yml")
		if err != nil {
			t.Fatal(err)
		}
		// What fires at an instant is a list of all of it.
		instants := regexp.MustCompile(`(?s)expr: [^\n]*ALERTS.*?exp_samples:(.*?)(?:\n {6}- |\n {4}\w|\n {2}- |$)`).FindAllStringSubmatch(string(tests), -1)
		for _, m := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(string(rules), -1) {
			seen++
			fires, rests := false, false
			for _, instant := range instants {
				if strings.Contains(instant[1], `alertname="`+m[1]+`"`) {
					fires = true
				} else {
					rests = true
				}
			}
			if !fires || !rests {
				t.Errorf("%s: %s is seen to fire: %t, and not to: %t, in %d instants", file, m[1], fires, rests, len(instants))
			}
		}
	}
	if seen < 29 {
		t.Errorf("there are %d alerts only", seen)
	}
}
