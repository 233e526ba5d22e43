package boundaries_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const (
	root   = "../.."         // of the module
	module = "kedge"         // its path
	tags   = "e2e,host,next" // every build tag that the project's files use
)

// A listed package is what `go list -json` says about it.
type listed struct {
	ImportPath   string
	Name         string
	Doc          string
	Standard     bool
	Imports      []string // of what is built
	TestImports  []string // of its tests, the package's own
	XTestImports []string // of its tests from outside
	Deps         []string // what Imports come to, all the way down
}

// ours reports whether the package is of this module.
func (p listed) ours() bool { return within(p.ImportPath, module) }

// within reports whether path is dir or below it.
func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

// A graph is every package of the module and what they need, by import path.
type graph map[string]listed

func loadGraph(t *testing.T) graph {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Name,Doc,Standard,Imports,TestImports,XTestImports,Deps", "-tags", tags, "./...")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as the binaries are built
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	g := graph{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		g[p.ImportPath] = p
	}
	return g
}

// below returns the packages of the module in one of the folders, sorted; none
// is a failure, for then a rule would hold of nothing.
func (g graph) below(t *testing.T, folders ...string) []listed {
	t.Helper()
	var found []listed
	for _, folder := range folders {
		n := len(found)
		for _, p := range g {
			if p.ours() && within(p.ImportPath, folder) {
				found = append(found, p)
			}
		}
		if len(found) == n {
			t.Errorf("there is no package in %s", folder)
		}
	}
	slices.SortFunc(found, func(a, b listed) int { return strings.Compare(a.ImportPath, b.ImportPath) })
	return found
}

// outside returns the packages of the module that are in none of the folders.
func (g graph) outside(t *testing.T, folders ...string) []listed {
	t.Helper()
	return slices.DeleteFunc(g.below(t, module), func(p listed) bool {
		return slices.ContainsFunc(folders, func(f string) bool { return within(p.ImportPath, f) })
	})
}
