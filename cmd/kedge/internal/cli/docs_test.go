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

// TestDocumentedCommands: every command of the documentation is a line of a script that [TestScripts] runs; or its
// block says by which test it is run, or why none runs it. The reference and the manual are what the programs say.
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
	run := func(name string) string {
		if !slices.Contains(tests, name) {
			return "there is no test " + name
		}
		return ""
	}
	// A page that a test runs as a whole.
	whole := map[string]string{"api.md": "TestTheGuideWorks"}
	pages, err := filepath.Glob("../../../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range append(pages, "../../../../README.md") {
		page := filepath.Base(file)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range shellBlocks(string(text)) {
			if name, by := strings.CutPrefix(b[0], "# run by "); by {
				if problem := run(name); problem != "" {
					t.Errorf("%s: %s", page, problem)
				}
				continue
			}
			if strings.HasPrefix(b[0], "# not run by a test: ") {
				continue
			}
			if name := whole[page]; name != "" {
				if problem := run(name); problem != "" {
					t.Errorf("%s: %s", page, problem)
				}
				continue
			}
			for _, line := range b {
				seen++
				if !slices.Contains(script, line) {
					t.Errorf("%s: no script runs %q", page, line)
				}
			}
		}
	}
	if seen < 35 {
		t.Errorf("looked at %d commands only", seen)
	}
}

// shellBlocks returns the commands of each block of a page that has any: all lines of what is sh, those after a prompt
// of what is console, and whatever begins with one of our programs, or make, in blocks that say nothing, fenced or indented.
func shellBlocks(page string) (blocks [][]string) {
	ours := regexp.MustCompile(`^(kedge|kedge-agent|kedge-controller|make|nix|git|systemctl|nixos-rebuild|/nix/\S+) `)
	comment := regexp.MustCompile(` {2,}# .*$`)
	collect := func(language string, lines []string) {
		var b []string
		for _, line := range lines {
			prompted, prompt := strings.CutPrefix(line, "$ ")
			if language == "sh" || prompt || strings.HasPrefix(line, "# run by ") || strings.HasPrefix(line, "# not run by ") || language == "" && ours.MatchString(line) {
				b = append(b, comment.ReplaceAllString(prompted, ""))
			}
		}
		if len(b) > 0 {
			blocks = append(blocks, b)
		}
	}
	var within []string
	language, fenced := "", false
	for line := range strings.Lines(page + "\n\n") {
		line = strings.TrimRight(line, "\n")
		mark, is := strings.CutPrefix(line, "```")
		text, indented := strings.CutPrefix(line, "    ")
		switch {
		case is && fenced:
			collect(language, within)
			within, fenced = nil, false
		case is:
			collect("", within)
			within, language, fenced = nil, mark, true
		case fenced && line != "":
			within = append(within, line)
		case !fenced && indented:
			within = append(within, text)
		case !fenced:
			collect("", within)
			within = nil
		}
	}
	return blocks
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
