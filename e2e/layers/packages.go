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
	TestImports  []string
	XTestImports []string
	Deps         []string
}

func (p goPackage) testFiles() []string { return slices.Concat(p.TestGoFiles, p.XTestGoFiles) }

// packages returns the module's packages as they are with these build tags.
func packages(ctx context.Context, tags string) ([]goPackage, error) {
	out, err := command.Run(ctx, command.Command{
		Args: []string{"go", "list", "-e", "-tags=" + tags, "-json=ImportPath,Dir,TestGoFiles,XTestGoFiles,TestImports,XTestImports,Deps", "./..."},
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

// A TaggedPackage is a package with tests that have a build tag.
type TaggedPackage struct {
	ImportPath string
	Tests      []string // names of the tests that are there with the tag only
	Needs      []string // import paths of what it needs, its tests directly and itself all the way down
}

// Tagged returns the packages below the current directory, a module's, that
// have tests with the build tag.
func Tagged(ctx context.Context, tag string) ([]TaggedPackage, error) {
	without, err := packages(ctx, "")
	if err != nil {
		return nil, err
	}
	with, err := packages(ctx, tag)
	if err != nil {
		return nil, err
	}
	always := map[string][]string{} // files, by package
	for _, p := range without {
		always[p.ImportPath] = p.testFiles()
	}
	var tagged []TaggedPackage
	for _, p := range with {
		files := slices.DeleteFunc(p.testFiles(), func(f string) bool { return slices.Contains(always[p.ImportPath], f) })
		tests, err := p.functions(files, "Test")
		if err != nil {
			return nil, err
		}
		tests = slices.DeleteFunc(tests, func(name string) bool { return name == "TestMain" })
		if len(tests) > 0 {
			tagged = append(tagged, TaggedPackage{ImportPath: p.ImportPath, Tests: tests, Needs: slices.Concat(p.Deps, p.TestImports, p.XTestImports)})
		}
	}
	return tagged, nil
}

// functions returns the names of the functions in these files of the package
// that begin with prefix.
func (p goPackage) functions(files []string, prefix string) ([]string, error) {
	var names []string
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("look for tests in %s: %w", p.ImportPath, err)
		}
		for _, decl := range f.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, prefix) {
				names = append(names, fn.Name.Name)
			}
		}
	}
	return names, nil
}
