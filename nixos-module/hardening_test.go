package nixosmodule_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	nixosmodule "kedge/nixos-module"
)

// TestHardeningIsAsDocumented: a unit has what docs/hardening.md says that is set, and
// nothing of what it says that is not.
func TestHardeningIsAsDocumented(t *testing.T) {
	b, err := os.ReadFile("../docs/hardening.md")
	if err != nil {
		t.Fatal(err)
	}
	units := map[string]string{"kedge-agent.service": nixosmodule.AgentUnit, "kedge-controller.service": nixosmodule.ControllerUnit}
	setting, rows := regexp.MustCompile("`([A-Z]\\w+)=?`"), 0
	for section := range strings.SplitSeq(string(b), "\n## ") {
		title, body, _ := strings.Cut(section, "\n")
		unit, is := units[title]
		if !is {
			continue
		}
		want := false
		for line := range strings.Lines(body) {
			first, _, row := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
			switch {
			case first == "set" || first == "not set":
				want = first == "set"
			case row && strings.HasPrefix(first, "`"):
				for _, m := range setting.FindAllStringSubmatch(first, -1) {
					rows++
					if got := strings.Contains(unit, "\n    "+m[1]+" = "); got != want {
						t.Errorf("%s: %s is set: %t, and docs/hardening.md says %t", title, m[1], got, want)
					}
				}
			}
		}
	}
	if rows < 30 {
		t.Errorf("%d settings were found in docs/hardening.md", rows)
	}
}
