package e2e_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// securityDocument says what an attacker cannot do.
const securityDocument = "../docs/security.md"

// TestWhatIsClaimedOfSecurityIsTested: every test that the document names exists, once or
// in the package that is named with it; and every attack, what a thief can and cannot do,
// and what to do then, have one.
func TestWhatIsClaimedOfSecurityIsTested(t *testing.T) {
	b, err := os.ReadFile(securityDocument)
	if err != nil {
		t.Fatal(err)
	}
	exist, name := allTests(t), regexp.MustCompile("`(?:([a-z0-9]+)\\.)?((?:Test|Fuzz)[A-Za-z0-9]+)`")
	for _, match := range name.FindAllStringSubmatch(string(b), -1) {
		in, test := match[1], match[2]
		if there := exist[test]; in == "" && len(there) != 1 || in != "" && !slices.Contains(there, in) {
			t.Errorf("%s: the test %s is in the packages %q: there must be one, or it must be named as in pkg.%s", securityDocument, match[0], there, test)
		}
	}
	claims := map[string][]int{"stolen": {1, 2, 3}, "attack": {2}} // columns of the table that begins with
	var columns []int
	rows := 0
	for line := range strings.Lines(string(b)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		first := strings.TrimSpace(cells[0])
		switch {
		case len(cells) == 1:
			columns = nil
		case claims[first] != nil:
			columns = claims[first]
		case columns != nil && !strings.HasPrefix(first, "---"):
			rows++
			for _, column := range columns {
				if column >= len(cells) || !name.MatchString(cells[column]) {
					t.Errorf("%s: nothing shows what is in column %d of the row %q", securityDocument, column+1, line)
				}
			}
		}
	}
	if rows < 50 {
		t.Errorf("%s: %d rows were found", securityDocument, rows)
	}
}

// allTests returns in which packages, by their folders, there are tests and fuzz tests of
// which names, whatever their build tags.
func allTests(t *testing.T) map[string][]string {
	t.Helper()
	names := map[string][]string{}
	err := filepath.WalkDir("..", func(file string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(file, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range f.Decls {
			if fn, is := decl.(*ast.FuncDecl); is && fn.Recv == nil {
				names[fn.Name.Name] = append(names[fn.Name.Name], filepath.Base(filepath.Dir(file)))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
