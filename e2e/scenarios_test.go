package e2e_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// scenariosDocument says which scenario breaks what.
const scenariosDocument = "../docs/scenarios.md"

// TestTheDocumentNamesTheScenarios: every row of the tables has a scenario, or
// says what it waits for; those that are named exist, and every one of the
// transaction is named.
func TestTheDocumentNamesTheScenarios(t *testing.T) {
	exist := scenarios(t)
	b, err := os.ReadFile(scenariosDocument)
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile("`(Test[A-Za-z]+)`")
	named, rows := map[string]bool{}, 0
	for line := range strings.Lines(string(b)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 2 || strings.HasPrefix(line, "|---") || strings.HasSuffix(strings.TrimSpace(cells[1]), "scenarios") {
			continue
		}
		rows++
		found := name.FindAllStringSubmatch(cells[1], -1)
		if len(found) == 0 && !strings.Contains(cells[1], "not there yet: ") {
			t.Errorf("%s: nothing breaks what is in the row %q", scenariosDocument, line)
		}
		for _, match := range found {
			named[match[1]] = true
			if !exist[match[1]] {
				t.Errorf("%s: there is no scenario %s", scenariosDocument, match[1])
			}
		}
	}
	if rows == 0 {
		t.Errorf("%s has no table", scenariosDocument)
	}
	for scenario := range exist {
		if strings.HasPrefix(scenario, "TestTransaction") && !named[scenario] {
			t.Errorf("%s does not name %s", scenariosDocument, scenario)
		}
	}
}

// scenarios returns the names of the tests in this folder.
func scenarios(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("*_e2e_test.go")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range f.Decls {
			if fn, is := decl.(*ast.FuncDecl); is && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
				names[fn.Name.Name] = true
			}
		}
	}
	return names
}
