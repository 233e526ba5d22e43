package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestVMTestsRunCommandsThatThereAre: what the tests in virtual machines run, and CI in an example, which nobody can
// run here, the programs would take; and each test has its line in the page about them.
func TestVMTestsRunCommandsThatThereAre(t *testing.T) {
	there := commands(t)
	page, err := os.ReadFile("vm-tests.md")
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Glob("../nixos-module/vm/*.py")
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile(`"((?:kedge|kedge-agent|kedge-controller) [^"|>]+)`)
	seen := 0
	for _, name := range scripts {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range command.FindAllStringSubmatch(string(text), -1) {
			seen++
			if problem := wrong(there, strings.Fields(m[1])); problem != "" {
				t.Errorf("%s: %q: %s", name, m[1], problem)
			}
		}
		base := strings.TrimSuffix(filepath.Base(name), ".py")
		if base != "driver" && !strings.Contains(string(page), "| `"+base+"` |") && base != "demo" {
			t.Errorf("vm-tests.md says nothing of %s", base)
		}
	}
	// And what CI runs in the example of a fleet.
	text, err := os.ReadFile("../examples/ci/deploy.sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^\t*(kedge .*?)(?: #.*)?$`).FindAllStringSubmatch(string(text), -1) {
		seen++
		if problem := wrong(there, strings.Fields(m[1])); problem != "" {
			t.Errorf("deploy.sh: %q: %s", m[1], problem)
		}
	}
	if seen < 11 {
		t.Errorf("looked at %d commands only", seen)
	}
}
