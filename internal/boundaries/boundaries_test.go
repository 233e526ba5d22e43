package boundaries_test

import (
	"slices"
	"strings"
	"testing"
)

func TestBoundaries(t *testing.T) {
	g := loadGraph(t)

	t.Run("proto needs the standard library only", func(t *testing.T) {
		for _, dep := range g["kedge/proto"].Deps {
			if !g[dep].Standard {
				t.Errorf("kedge/proto needs %s", dep)
			}
		}
	})

	t.Run("proto/bus imports proto and the NATS client", func(t *testing.T) {
		for _, p := range g.below(t, "kedge/proto/bus") {
			for _, path := range p.Imports {
				allowed := g[path].Standard || within(path, "kedge/proto") ||
					within(path, "github.com/nats-io/nats.go") || within(path, "github.com/nats-io/nkeys") || within(path, "github.com/nats-io/jwt/v2")
				if !allowed {
					t.Errorf("%s imports %s", p.ImportPath, path)
				}
			}
		}
	})

	t.Run("agent, controller and the command line meet in proto only", func(t *testing.T) {
		const cli = "kedge/cmd/kedge"
		sides := []string{"kedge/agent", "kedge/controller", cli}
		for _, side := range sides {
			for _, p := range g.below(t, side) {
				needs := p.Deps
				if side != cli { // whose tests call a real controller
					needs = slices.Concat(p.Deps, p.TestImports, p.XTestImports)
				}
				for _, dep := range needs {
					if slices.ContainsFunc(sides, func(other string) bool { return other != side && within(dep, other) }) {
						t.Errorf("%s needs %s", p.ImportPath, dep)
					}
				}
			}
		}
	})

	t.Run("what both sides need depends on neither", func(t *testing.T) {
		for _, p := range g.below(t, "kedge/internal", "kedge/proto") {
			for _, dep := range p.Deps {
				if within(dep, module) && !within(dep, "kedge/internal") && !within(dep, "kedge/proto") {
					t.Errorf("%s needs %s", p.ImportPath, dep)
				}
			}
		}
	})

	t.Run("nothing but e2e imports testing or the test hosts", func(t *testing.T) {
		for _, p := range g.outside(t, "kedge/e2e") {
			for _, path := range p.Imports {
				if within(path, "testing") || within(path, "kedge/e2e") {
					t.Errorf("%s imports %s", p.ImportPath, path)
				}
			}
		}
	})

	t.Run("viper and tint are the business of internal/setup", func(t *testing.T) {
		for _, p := range g.outside(t, "kedge/internal/setup") {
			for _, path := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
				if within(path, "github.com/spf13/viper") || within(path, "github.com/lmittmann/tint") {
					t.Errorf("%s imports %s", p.ImportPath, path)
				}
			}
		}
	})

	t.Run("only the controller's binary links a NATS server", func(t *testing.T) {
		const server = "github.com/nats-io/nats-server/v2/server"
		for binary, links := range map[string]bool{"kedge/cmd/kedge-agent": false, "kedge/cmd/kedge": false, "kedge/cmd/kedge-controller": true} {
			if got := slices.Contains(g[binary].Deps, server); got != links {
				t.Errorf("%s links %s: got %t, want %t", binary, server, got, links)
			}
		}
	})

	t.Run("every package says what it is", func(t *testing.T) {
		for _, p := range g.below(t, module) {
			if p.Name == "" {
				continue // tests only
			}
			want := "Package " + p.Name + " "
			if p.Name == "main" {
				want = "Command " + base(p.ImportPath) + " "
			}
			if !strings.HasPrefix(p.Doc, want) {
				t.Errorf("%s: the package comment is %q, want it to begin with %q", p.ImportPath, p.Doc, want)
			}
		}
	})
}

// base returns the last part of an import path.
func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
