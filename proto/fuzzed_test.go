package proto_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// TestEveryParserIsFuzzed: each exported function called Parse… is called by a fuzz test.
func TestEveryParserIsFuzzed(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	parsers, fuzzed := map[string]bool{}, map[string]bool{}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range f.Decls {
			fn, is := decl.(*ast.FuncDecl)
			switch {
			case !is || fn.Recv != nil:
			case strings.HasPrefix(fn.Name.Name, "Parse"):
				parsers[fn.Name.Name] = true
			case strings.HasPrefix(fn.Name.Name, "Fuzz"):
				ast.Inspect(fn, func(n ast.Node) bool {
					if s, is := n.(*ast.SelectorExpr); is {
						fuzzed[s.Sel.Name] = true
					}
					return true
				})
			}
		}
	}
	if len(parsers) < 20 {
		t.Errorf("%d parsers were found", len(parsers))
	}
	for name := range parsers {
		if !fuzzed[name] {
			t.Errorf("no fuzz test calls %s", name)
		}
	}
}
