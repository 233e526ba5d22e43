package nixosmodule_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// root is the project's directory.
const root = ".."

// lineLimit is how many characters a line of Nix may have besides its indentation, as the formatter of the flake
// sees it.
const lineLimit = 100

// TestNixFilesAreInForm looks at what can be seen without the formatter, nixfmt, and has that look, too, where
// it is: in the flake's dev shell. No package of Debian has it; see docs/vm-tests.md.
func TestNixFilesAreInForm(t *testing.T) {
	if nixfmt, err := exec.LookPath("nixfmt"); err == nil {
		check := exec.CommandContext(t.Context(), nixfmt, append([]string{"--check"}, nixFiles(t)...)...)
		check.Dir = root
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("%v:\n%s", err, out)
		}
	}
	for _, name := range nixFiles(t) {
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		text := string(b)
		if !strings.HasSuffix(text, "\n") || strings.HasSuffix(text, "\n\n") {
			t.Errorf("%s: want one newline at the end", name)
		}
		for i, line := range strings.Split(text, "\n") {
			if problem := form(line); problem != "" {
				t.Errorf("%s:%d: %s", name, i+1, problem)
			}
		}
	}
}

// form returns what is wrong with a line. What cannot be broken, such as a text or an address, may be
// longer than the limit.
func form(line string) string {
	indent := len(line) - len(strings.TrimLeft(line, " "))
	switch {
	case strings.ContainsAny(line, "\t\r"):
		return "has a tab or a carriage return"
	case strings.TrimRight(line, " ") != line:
		return "ends in a space"
	case indent%2 != 0:
		return "is indented by an odd number of spaces"
	case len([]rune(line))-indent > lineLimit && !strings.ContainsAny(line, `"'#`):
		return "is longer than 100 characters"
	}
	return ""
}

func TestForm(t *testing.T) {
	for line, want := range map[string]string{
		"":                             "",
		"  x = 1":                      "",
		"\tx = 1":                      "has a tab or a carriage return",
		"x = 1\r":                      "has a tab or a carriage return",
		"x = 1 ":                       "ends in a space",
		"   x":                         "is indented by an odd number of spaces",
		strings.Repeat("x", 101):       "is longer than 100 characters",
		`"` + strings.Repeat("x", 101): "",
	} {
		if got := form(line); got != want {
			t.Errorf("form(%q) = %q, want %q", line, got, want)
		}
	}
}

// nixFiles returns the names of all Nix files of the project, below root.
func nixFiles(t *testing.T) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root {
			return fs.SkipDir
		}
		if d.Type().IsRegular() && strings.HasSuffix(path, ".nix") {
			name, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Fatal("no Nix file was found")
	}
	return names
}
