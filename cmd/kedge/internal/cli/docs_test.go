package cli_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocumentedCommands: every command of the pages that people follow step by step is a line of a script that
// [TestScripts] runs; or its block says by which test it is run, or why none runs it.
func TestDocumentedCommands(t *testing.T) {
	var script []string
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		script = append(script, strings.Split(string(text), "\n")...)
	}
	tests := testNames(t)
	seen := 0
	for _, page := range []string{"install.md", "operations.md"} {
		text, err := os.ReadFile("../../../../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
			lines := strings.Split(strings.TrimSpace(m[1]), "\n")
			if name, by := strings.CutPrefix(lines[0], "# run by "); by {
				if !slices.Contains(tests, name) {
					t.Errorf("%s: there is no test %s", page, name)
				}
				continue
			}
			if strings.HasPrefix(lines[0], "# not run by a test: ") {
				continue
			}
			for _, line := range lines {
				seen++
				if !slices.Contains(script, line) {
					t.Errorf("%s: no script runs %q", page, line)
				}
			}
		}
	}
	if seen < 30 {
		t.Errorf("looked at %d commands only", seen)
	}
}

// testNames returns the names of all tests of the project.
func testNames(t *testing.T) (names []string) {
	t.Helper()
	err := filepath.WalkDir("../../../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(text), -1) {
			names = append(names, m[1])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestExitCodesAreDocumented: events.md has the exit codes that there are, and no other.
func TestExitCodesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n## Exit codes\n")
	ours := map[string]bool{}
	all := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\| (\d) \|( ?[^|]*)\|`).FindAllStringSubmatch(table, -1) {
		all[m[1]] = true
		if strings.TrimSpace(m[2]) != "" {
			ours[m[1]] = true
		}
	}
	for _, program := range []struct {
		file string
		have map[string]bool
	}{{"exit.go", ours}, {"../../../../agent/cli/exit.go", all}} {
		code, err := os.ReadFile(program.file)
		if err != nil {
			t.Fatal(err)
		}
		codes := regexp.MustCompile(`(?m)^\tExit\w+ += (\d)`).FindAllStringSubmatch(string(code), -1)
		for _, m := range codes {
			if !program.have[m[1]] {
				t.Errorf("%s: exit code %s is not in events.md", program.file, m[1])
			}
		}
		if len(codes) != len(program.have) {
			t.Errorf("%s has %d exit codes, events.md %d", program.file, len(codes), len(program.have))
		}
	}
}
