package build

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kedge/internal/nix"
	"kedge/proto"
)

// fakeNix answers with canned JSON and builds into a directory.
type fakeNix struct {
	t     *testing.T
	store string

	mu       sync.Mutex
	calls    []string                                            // what was evaluated, and what was built
	answers  map[string]string                                   // attribute path, with "!" before it for the names → JSON; missing: an error, but for kedge
	stderr   map[string]string                                   // of evaluations that fail
	broken   map[proto.StorePath]bool                            // derivations that do not build
	hangs    map[proto.StorePath]bool                            // derivations whose build has no end
	notASys  map[proto.StorePath]bool                            // derivations that build something else
	requires map[proto.StorePath][]string                        // what else a derivation needs
	gone     map[proto.StorePath]error                           // derivations that were collected as garbage → what is said of them; until they are evaluated
	collects bool                                                // and right after that again
	buildErr string                                              // stderr of a build that fails
	fatal    map[string]bool                                     // hosts whose evaluation fails the process
	jobs     func(ctx context.Context, each func(nix.Job)) error // nix-eval-jobs; nil for none
	evalJobs nix.EvalJobsOptions                                 // of the last call
	memory   int                                                 // of the last evaluation
	foreign  map[proto.StorePath]bool                            // derivations that nobody builds for, and nothing else then
	lost     error                                               // why nothing can be built
	mute     bool                                                // the store answers no question
	deaf     bool                                                // nor one about what a derivation needs
	silent   time.Duration                                       // how long a builder may say nothing, in the last build
	takes    time.Duration                                       // how long every call that builds takes
}

// EvalInto implements Nix.
func (f *fakeNix) EvalInto(ctx context.Context, o nix.EvalOptions, v any) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	_, path, _ := strings.Cut(o.Installable, "#")
	var beside string
	switch {
	case o.Apply == "builtins.attrNames":
		path = "!" + path
	case o.Apply == specAlone:
		path = "kedge"
	case path == outputs:
		path, beside = attribute, `{"kedge":`+f.kedge()+`}`
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.memory = o.Memory
	if list, some := strings.CutPrefix(o.Apply, evaluateSome[:strings.Index(evaluateSome, "%s")]); some {
		return f.evalSome(path, strings.Fields(strings.NewReplacer("]", "", ")", "", `"`, "").Replace(list)), v)
	}
	f.calls = append(f.calls, path)
	answer, ok := f.answers[path]
	if path == "kedge" {
		answer, ok = f.kedge(), f.stderr[path] == ""
	}
	if !ok {
		return &nix.CommandError{Args: []string{"nix", "eval"}, ExitCode: 1, Stderr: f.stderr[path], Err: &exec.ExitError{}}
	}
	maps.DeleteFunc(f.gone, func(d proto.StorePath, _ error) bool { return path == attributeOf(name(d)) && !f.collects })
	if beside != "" {
		must(f.t, json.Unmarshal([]byte(beside), v))
	}
	return json.Unmarshal([]byte(answer), v)
}

// kedge returns what becomes of the output kedge.
func (f *fakeNix) kedge() string {
	switch answer := f.answers["kedge"]; {
	case f.stderr["kedge"] != "":
		return "null"
	case answer != "":
		return `{"value":` + answer + `}`
	}
	return "{}"
}

// evalSome answers for some hosts, together.
func (f *fakeNix) evalSome(path string, hosts []string, v any) error {
	f.calls = append(f.calls, path+" "+strings.Join(hosts, " "))
	answers := map[string]json.RawMessage{}
	for _, name := range hosts {
		if f.fatal[name] {
			return &nix.CommandError{Args: []string{"nix", "eval"}, ExitCode: 1, Stderr: "error: out of memory", Err: &exec.ExitError{}}
		}
		answers[name] = json.RawMessage(cmp.Or(f.answers[attributeOf(name)], "null"))
	}
	data, err := json.Marshal(answers)
	must(f.t, err)
	return json.Unmarshal(data, v)
}

// HasEvalJobs implements Nix.
func (f *fakeNix) HasEvalJobs() bool { return f.jobs != nil }

// EvalJobs implements Nix.
func (f *fakeNix) EvalJobs(ctx context.Context, o nix.EvalJobsOptions, each func(nix.Job)) error {
	f.calls = append(f.calls, "jobs")
	f.evalJobs = o
	return f.jobs(ctx, each)
}

// Prepare implements Nix.
func (f *fakeNix) Prepare(context.Context, nix.RealiseOptions) *nix.Prepared { return nil }

// Realise implements Nix.
func (f *fakeNix) Realise(ctx context.Context, o nix.RealiseOptions) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if f.lost != nil {
		return f.lost
	}
	select {
	case <-time.After(f.takes):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for _, d := range o.Derivations {
		if f.foreign[d] {
			f.calls = append(f.calls, "give up")
			return &nix.CommandError{Args: []string{"nix"}, ExitCode: 1, Err: &exec.ExitError{}, Stderr: `error: a 'aarch64-linux' with features {} is required to build '` + d.String() + `', but I am a 'x86_64-linux' with features {kvm}`}
		}
	}
	for _, d := range o.Derivations {
		if err := f.gone[d]; err != nil {
			f.calls = append(f.calls, "give up")
			return err
		}
	}
	f.silent = o.MaxSilent
	var failed, hangs bool
	for _, d := range o.Derivations {
		f.calls = append(f.calls, "build "+name(d))
		switch {
		case f.broken[d]:
			failed = true
		case f.hangs[d]:
			hangs = true
		case f.notASys[d]:
			must(f.t, os.MkdirAll(filepath.Join(f.store, out(f.t, d).Base()), 0o755))
		default:
			makeToplevel(f.t, filepath.Join(f.store, out(f.t, d).Base()))
		}
	}
	if hangs { // Nix ends in good order when it is told to
		<-ctx.Done()
		return &nix.CommandError{Args: []string{"nix-store"}, ExitCode: 1, Stderr: "error: interrupted by the user\n", Err: context.Cause(ctx)}
	}
	if failed {
		return &nix.CommandError{Args: []string{"nix-store"}, ExitCode: 100, Stderr: f.buildErr, Err: &exec.ExitError{}}
	}
	return nil
}

// Invalid implements Nix.
func (f *fakeNix) Invalid(ctx context.Context, paths ...proto.StorePath) ([]proto.StorePath, error) {
	if f.mute {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	return slices.DeleteFunc(slices.Clone(paths), func(p proto.StorePath) bool {
		if strings.HasSuffix(p.Base(), ".drv") {
			return f.gone[p] == nil
		}
		_, err := os.Stat(filepath.Join(f.store, p.Base()))
		return err == nil
	}), nil
}

// Requisites implements Nix.
func (f *fakeNix) Requisites(ctx context.Context, paths ...proto.StorePath) ([]proto.StorePath, error) {
	if f.deaf {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	all := slices.Clone(paths)
	for _, p := range paths {
		if err := f.gone[p]; err != nil {
			return nil, err
		}
		for _, r := range f.requires[p] {
			all = append(all, drv(f.t, r))
		}
	}
	return all, nil
}

func newBuilder(t *testing.T, f *fakeNix) *Builder {
	t.Helper()
	f.t, f.store = t, t.TempDir()
	b, err := New(Options{Nix: f, Roots: filepath.Join(t.TempDir(), "roots"), Store: f.store, Keep: 2, Workers: 2, Memory: 2 * hostMemory, Evaluations: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	return b
}

// evaluation returns what a host evaluates to.
func evaluation(t *testing.T, host string) Evaluation {
	return Evaluation{Derivation: drv(t, host), Toplevel: out(t, drv(t, host))}
}

func drv(t *testing.T, name string) proto.StorePath {
	t.Helper()
	p, err := proto.ParseStorePath("/nix/store/" + hashOf(name) + "-" + name + ".drv")
	must(t, err)
	return p
}

// out returns where a derivation is built to.
func out(t *testing.T, d proto.StorePath) proto.StorePath {
	t.Helper()
	p, err := proto.ParseStorePath("/nix/store/1" + d.Hash()[1:] + "-" + name(d))
	must(t, err)
	return p
}

func name(d proto.StorePath) string { return strings.TrimSuffix(d.Base()[33:], ".drv") }

// hashOf returns something that looks like the hash in a store path.
func hashOf(name string) string {
	hash := "0" + strings.NewReplacer("e", "f", "o", "p", "t", "s", "u", "v", "-", "").Replace(name)
	return hash + strings.Repeat("0", 32-len(hash))
}

func makeToplevel(t *testing.T, dir string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Join(dir, "bin"), 0o755))
	must(t, os.MkdirAll(filepath.Join(dir, "etc"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "bin/switch-to-configuration"), nil, 0o755))
	for _, file := range []string{"init", "init-interface-version", "nixos-version"} {
		must(t, os.WriteFile(filepath.Join(dir, file), nil, 0o644))
	}
}

func host(t *testing.T, name string) proto.HostName {
	t.Helper()
	h, err := proto.ParseHostName(name)
	must(t, err)
	return h
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
