package nixosmodule_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryOptionHasAnExample: whoever reads of an option sees what it is, its type, and another value than its default; of
// a package nixpkgs shows none.
func TestEveryOptionHasAnExample(t *testing.T) {
	seen := 0
	for _, name := range []string{"agent", "controller", "monitoring", "fleet"} {
		page, err := os.ReadFile(filepath.Join(root, "docs/reference/options-"+name+".md"))
		if err != nil {
			t.Fatal(err)
		}
		for _, section := range strings.Split(string(page), "\n## ")[1:] {
			seen++
			option, _, _ := strings.Cut(section, "\n")
			said := regexp.MustCompile(`(?m)^- (\w+): (.*)$`).FindAllStringSubmatch(section, -1)
			facts := map[string]string{}
			for _, m := range said {
				facts[m[1]] = m[2]
			}
			description, _, _ := strings.Cut(strings.TrimPrefix(section, option), "\n- ")
			if strings.TrimSpace(description) == "" || facts["Type"] == "" {
				t.Errorf("%s: description %q, type %q", option, strings.TrimSpace(description), facts["Type"])
			}
			if facts["Type"] != "package" && (facts["Example"] == "" || facts["Example"] == facts["Default"]) {
				t.Errorf("%s: default %s, example %q", option, facts["Default"], facts["Example"])
			}
		}
	}
	if seen < 210 {
		t.Errorf("looked at %d options only", seen)
	}
}
