//go:build host

package cache_test

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"kedge/controller/internal/build"
	"kedge/controller/internal/cache"
	"kedge/controller/internal/source"
	"kedge/internal/nix"
	"kedge/proto"
)

// realFleet is a flake whose hosts share what they are made of, and change with
// every revision.
const realFleet = `{
  outputs = { self }: let
    make = name: script: derivation {
      inherit name; system = "x86_64-linux"; builder = "/bin/sh";
      args = [ "-c" "PATH=/usr/bin:/bin; ${script}" ];
    };
    etc = make "etc" "mkdir $out; echo '${self.rev}' > $out/revision; cp ${./service} $out/service";
    host = name: { config.system.build.toplevel = make "nixos-system-${name}"
      "mkdir -p $out/bin; cd $out; touch init init-interface-version nixos-version; ln -s ${etc} etc; echo >bin/switch-to-configuration; chmod +x bin/*"; };
  in {
    nixosConfigurations = builtins.listToAttrs (map (name: { inherit name; value = host name; }) (import ./hosts.nix));
  };
}`

// TestRealWayOfARevision goes the way of a revision from the push to the cache,
// through the real git and the real Nix, and reports how long each part takes.
func TestRealWayOfARevision(t *testing.T) {
	for _, n := range []int{1, 4} {
		t.Run(fmt.Sprint("hosts ", n), func(t *testing.T) {
			w := newWay(t, n)
			took, used := map[string][]time.Duration{}, map[string][]time.Duration{}
			for i := range 6 {
				revision := w.push(fmt.Sprint("revision ", i, " of ", time.Now().UnixNano()))
				for part, c := range w.follow(t, revision) {
					if i > 0 { // the first one fills caches
						took[part], used[part] = append(took[part], c.took), append(used[part], c.used)
					}
				}
			}
			for _, part := range slices.Sorted(maps.Keys(took)) {
				t.Logf("%d hosts: %-10s %4d ms, %4d ms of processor (medians)", n, part, median(took[part]), median(used[part]))
			}
		})
	}
}

type way struct {
	t      *testing.T
	origin string
	source *source.Repository
	build  *build.Builder
	cache  *cache.Cache
	hosts  int
}

func newWay(t *testing.T, hosts int) *way {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	state := t.TempDir()
	w := &way{t: t, origin: filepath.Join(state, "origin"), hosts: hosts}
	w.git("init", "--quiet", "--initial-branch=main", w.origin)
	var names []string
	for i := range hosts {
		names = append(names, fmt.Sprintf("%q", fmt.Sprint("web", i)))
	}
	w.write("hosts.nix", "["+strings.Join(names, " ")+"]")
	w.write("flake.nix", realFleet)

	cli := &nix.CLI{Settings: []nix.Setting{{Name: "max-jobs", Value: "auto"}}}
	var err error
	w.source, err = source.New(source.Options{URL: w.origin, Branch: "main", Dir: filepath.Join(state, "source"), Store: cli, Root: filepath.Join(state, "root"), Log: log})
	must(t, err)
	w.cache, err = cache.Open(cache.Options{
		Nix: cli, Dir: filepath.Join(state, "cache"), KeyFile: filepath.Join(state, "key"), KeyName: "test-1", Log: log,
	})
	must(t, err)
	w.build, err = build.New(build.Options{Nix: cli, Roots: filepath.Join(state, "roots"), CopyTo: w.cache.URL(), Log: log})
	must(t, err)
	return w
}

// push commits a change and returns its revision.
func (w *way) push(content string) proto.Revision {
	w.t.Helper()
	w.write("service", content)
	w.git("-C", w.origin, "add", "--all")
	w.git("-C", w.origin, "-c", "user.name=x", "-c", "user.email=x", "commit", "--quiet", "--message=x")
	revision, err := proto.ParseRevision(w.git("-C", w.origin, "rev-parse", "HEAD"))
	must(w.t, err)
	return revision
}

// A cost is what a part took: time, and processor time of us and our children.
type cost struct{ took, used time.Duration }

func (c cost) since(begun cost) cost { return cost{c.took - begun.took, c.used - begun.used} }

// follow brings the newest revision into the cache, and returns what each part
// cost.
func (w *way) follow(t *testing.T, want proto.Revision) map[string]cost {
	t.Helper()
	start, costs := time.Now(), map[string]cost{}
	clock := func() cost {
		var total time.Duration
		for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
			var usage syscall.Rusage
			must(t, syscall.Getrusage(who, &usage))
			total += time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
		}
		return cost{time.Since(start), total}
	}
	begun := clock()
	lap := func(part string) {
		now := clock()
		costs[part], begun = now.since(begun), now
	}

	revision, err := w.source.Check(t.Context())
	must(t, err)
	if revision != want {
		t.Fatalf("newest revision: got %s, want %s", revision, want)
	}
	lap("1 check")
	must(t, w.source.Fetch(t.Context(), revision))
	tree, err := w.source.Checkout(t.Context(), revision)
	must(t, err)
	lap("2 fetch")
	evaluations, err := w.build.Evaluate(t.Context(), tree.FlakeRef)
	must(t, err)
	lap("3 evaluate")
	builds, err := w.build.Build(t.Context(), evaluations, nil)
	must(t, err)
	lap("4 build")
	closures, err := w.cache.Push(t.Context(), slices.Collect(maps.Values(builds.Toplevels))...)
	must(t, err)
	lap("5 cache")

	if len(closures) != w.hosts {
		t.Errorf("got %d closures, want %d; failed: %v %v", len(closures), w.hosts, evaluations.Failed, builds.Failed)
	}
	for toplevel := range closures {
		got, err := os.ReadFile(filepath.Join(toplevel.String(), "etc", "revision"))
		must(t, err)
		if strings.TrimSpace(string(got)) != revision.String() {
			t.Errorf("%s was built from %q, want %s", toplevel, got, revision)
		}
	}
	return costs
}

func median(of []time.Duration) int64 {
	slices.Sort(of)
	return of[len(of)/2].Milliseconds()
}

func (w *way) write(name, content string) {
	w.t.Helper()
	must(w.t, os.WriteFile(filepath.Join(w.origin, name), []byte(content), 0o644))
}

func (w *way) git(args ...string) string {
	w.t.Helper()
	out, err := exec.CommandContext(w.t.Context(), "git", args...).Output()
	must(w.t, err)
	return strings.TrimSpace(string(out))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
