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

// TestTheDocumentNamesTheScenarios: every row of the tables has a scenario;
// those that are named exist, and every one of the transaction is named.
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
		if len(found) == 0 {
			t.Errorf("%s: nothing breaks what is in the row %q", scenariosDocument, line)
		}
		for _, match := range found {
			named[match[1]] = true
			if exist[match[1]] == nil {
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

// TestNoPartOfAScenarioWaitsForAnother: the parts of a scenario run in a row. A
// parallel one would wait for a scenario to end that may itself wait until there
// is room for its machines, which this one has.
func TestNoPartOfAScenarioWaitsForAnother(t *testing.T) {
	for name, scenario := range scenarios(t) {
		ast.Inspect(scenario.Body, func(n ast.Node) bool {
			part, is := n.(*ast.FuncLit)
			if is && callsParallel(part) {
				t.Errorf("%s has a part that is parallel", name)
			}
			return !is
		})
	}
}

// callsParallel reports whether somewhere in n a method called Parallel is called.
func callsParallel(n ast.Node) bool {
	found := false
	ast.Inspect(n, func(n ast.Node) bool {
		method, is := n.(*ast.SelectorExpr)
		found = found || is && method.Sel.Name == "Parallel"
		return !found
	})
	return found
}

// scenarios returns the tests in this folder by their names.
func scenarios(t *testing.T) map[string]*ast.FuncDecl {
	t.Helper()
	files, err := filepath.Glob("*_e2e_test.go")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]*ast.FuncDecl{}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range f.Decls {
			if fn, is := decl.(*ast.FuncDecl); is && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
				tests[fn.Name.Name] = fn
			}
		}
	}
	return tests
}
