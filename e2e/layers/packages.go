package layers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"kedge/e2e/internal/command"
)

// A goPackage is one of the module's packages, by its test files.
type goPackage struct {
	ImportPath   string
	Dir          string
	TestGoFiles  []string
	XTestGoFiles []string
}

func (p goPackage) testFiles() []string { return slices.Concat(p.TestGoFiles, p.XTestGoFiles) }

// packages returns the module's packages as they are with these build tags.
func packages(ctx context.Context, tags string) ([]goPackage, error) {
	out, err := command.Run(ctx, command.Command{
		Args: []string{"go", "list", "-e", "-tags=" + tags, "-json=ImportPath,Dir,TestGoFiles,XTestGoFiles", "./..."},
	})
	if err != nil {
		return nil, fmt.Errorf("list packages: %w", err)
	}
	var all []goPackage
	for dec := json.NewDecoder(strings.NewReader(out)); ; {
		var p goPackage
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list packages: %w", err)
		}
		all = append(all, p)
	}
}

// packagesWith returns the import paths of the packages that have more tests
// with a build tag than without.
func packagesWith(ctx context.Context, tag string) ([]string, error) {
	without, err := packages(ctx, "")
	if err != nil {
		return nil, err
	}
	with, err := packages(ctx, tag)
	if err != nil {
		return nil, err
	}
	files := map[string]int{}
	for _, p := range without {
		files[p.ImportPath] = len(p.testFiles())
	}
	var paths []string
	for _, p := range with {
		if len(p.testFiles()) > files[p.ImportPath] {
			paths = append(paths, p.ImportPath)
		}
	}
	return paths, nil
}

// fuzzTargets returns the names of the fuzz tests in the package.
func (p goPackage) fuzzTargets() ([]string, error) {
	var names []string
	for _, file := range p.testFiles() {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("look for fuzz tests in %s: %w", p.ImportPath, err)
		}
		for _, decl := range f.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Fuzz") {
				names = append(names, fn.Name.Name)
			}
		}
	}
	return names, nil
}
