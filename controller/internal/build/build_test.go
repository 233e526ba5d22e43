package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"kedge/internal/nix"
	"kedge/proto"
)

func TestBuildStartsOneProcessAndNoneForWhatIsThere(t *testing.T) {
	f := &fakeNix{}
	b := newBuilder(t, f)
	evaluations := map[proto.HostName]Evaluation{host(t, "web1"): evaluation(t, "web1"), host(t, "db1"): evaluation(t, "db1")}
	for range 2 {
		builds, err := b.Build(t.Context(), Evaluations{Hosts: evaluations}, nil)
		must(t, err)
		want := map[proto.HostName]proto.StorePath{host(t, "web1"): evaluation(t, "web1").Toplevel, host(t, "db1"): evaluation(t, "db1").Toplevel}
		if diff := cmp.Diff(want, builds.Toplevels, comparers); diff != "" {
			t.Errorf("toplevels (-want +got):\n%s", diff)
		}
	}
	if diff := cmp.Diff([]string{"build db1", "build web1"}, f.calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestAHostThatDoesNotBuildHoldsUpNoOther(t *testing.T) {
	f := &fakeNix{
		broken:   map[proto.StorePath]bool{drv(t, "web2"): true, drv(t, "db1"): true, drv(t, "db2"): true},
		requires: map[proto.StorePath][]string{drv(t, "web2"): {"nginx"}, drv(t, "db1"): {"postgres"}, drv(t, "web1"): {"nginx-ok"}},
		// As Nix 2.26.3 writes it, but for the hashes.
		buildErr: `building '` + drv(t, "nginx").String() + `'...
error: builder for '` + drv(t, "nginx").String() + `' failed with exit code 3;
       last 2 log lines:
       > compiling
       > fatal: no such thing
       For full logs, run:
         nix log ` + drv(t, "nginx").String() + `
error: 1 dependencies of derivation '` + drv(t, "web2").String() + `' failed to build
error: Cannot build '` + drv(t, "postgres").String() + `'.
       Reason: builder failed with exit code 1.
       Last 1 log lines:
       > postgres went wrong
error: Cannot build '` + drv(t, "db1").String() + `'.
       Reason: 1 dependency failed.
error: build of '` + drv(t, "db1").String() + `', '` + drv(t, "web2").String() + `' failed
`,
	}
	b := newBuilder(t, f)
	evaluations := map[proto.HostName]Evaluation{}
	for _, name := range []string{"web1", "web2", "db1", "db2"} {
		evaluations[host(t, name)] = evaluation(t, name)
	}
	builds, err := b.Build(t.Context(), Evaluations{Hosts: evaluations}, nil)
	must(t, err)
	if _, ok := builds.Toplevels[host(t, "web1")]; !ok || len(builds.Toplevels) != 1 {
		t.Errorf("built: got %v, want web1 only", builds.Toplevels)
	}
	for name, row := range map[string]struct{ has, lacks string }{
		"web2": {"> fatal: no such thing", "postgres"},
		"db1":  {"> postgres went wrong", "nginx"},
		"db2":  {"failed", "log lines of nobody"}, // Nix did not say why
	} {
		failed := builds.Failed[host(t, name)]
		if failed == nil || failed.Reason != proto.ReasonBuildFailed {
			t.Errorf("%s: got %v, want it to fail with %s", name, failed, proto.ReasonBuildFailed)
			continue
		}
		text := failed.Error()
		if !strings.Contains(text, row.has) || strings.Contains(text, row.lacks) || strings.Contains(text, "dependenc") && name != "db2" {
			t.Errorf("%s: got message %q, want one with %q, without %q and what follows from it", name, text, row.has, row.lacks)
		}
	}
}

// TestAPackageThatHasToDoWithDependenciesMayFail: its name is not what Nix says of those
// that failed for another's sake, which is as Nix 2.26.3 and 2.34.8 have it.
func TestAPackageThatHasToDoWithDependenciesMayFail(t *testing.T) {
	tracker, deps, web1 := drv(t, "1-dependency-track-4"), drv(t, "go-dependencies"), drv(t, "web1").String()
	got := parseCauses(&nix.CommandError{Stderr: `error: builder for '` + tracker.String() + `' failed with exit code 1
error: 1 dependencies of derivation '` + web1 + `' failed to build
error: Cannot build '` + deps.String() + `'.
       Reason: builder failed with exit code 1.
error: Cannot build '` + web1 + `'.
       Reason: 2 dependencies failed.
error: Cannot build '` + web1 + `'.
       Reason: 1 dependency failed.
error: build of '` + web1 + `', '` + tracker.String() + `' failed
`})
	var causes []proto.StorePath
	for _, c := range got {
		causes = append(causes, c.derivation)
	}
	if want := []proto.StorePath{tracker, deps}; !slices.Equal(causes, want) {
		t.Errorf("causes: got %v, want %v", causes, want)
	}
}

func TestAFullDiskIsToldFromABuildThatFailed(t *testing.T) {
	hosts := map[proto.HostName]Evaluation{host(t, "web1"): evaluation(t, "web1"), host(t, "db1"): evaluation(t, "db1")}
	for name, row := range map[string]struct {
		stderr    string
		web1, db1 proto.Reason
	}{
		"one host's build": {
			`error: builder for '` + drv(t, "web1").String() + `' failed with exit code 1;
       last 1 log lines:
       > cp: error writing '/nix/store/x/image': No space left on device
error: builder for '` + drv(t, "db1").String() + `' failed with exit code 3;
       last 1 log lines:
       > fatal: no such thing
`, proto.ReasonDiskFull, proto.ReasonBuildFailed,
		},
		"Nix itself": {"error: writing to file: No space left on device\n", proto.ReasonDiskFull, proto.ReasonDiskFull},
	} {
		f := &fakeNix{broken: map[proto.StorePath]bool{drv(t, "web1"): true, drv(t, "db1"): true}, buildErr: row.stderr}
		builds, err := newBuilder(t, f).Build(t.Context(), Evaluations{Hosts: hosts}, nil)
		must(t, err)
		for h, want := range map[string]proto.Reason{"web1": row.web1, "db1": row.db1} {
			if got := builds.Failed[host(t, h)]; got == nil || got.Reason != want {
				t.Errorf("%s, %s: got %+v, want reason %q", name, h, got, want)
			}
		}
	}
}

func TestABuildThatFailedIsTriedAgain(t *testing.T) {
	f := &fakeNix{broken: map[proto.StorePath]bool{drv(t, "web1"): true}}
	b := newBuilder(t, f)
	evaluations := map[proto.HostName]Evaluation{host(t, "web1"): evaluation(t, "web1")}
	builds, err := b.Build(t.Context(), Evaluations{Hosts: evaluations}, nil)
	must(t, err)
	if len(builds.Failed) != 1 {
		t.Fatalf("failed: got %v, want web1", builds.Failed)
	}
	f.broken = nil
	builds, err = b.Build(t.Context(), Evaluations{Hosts: evaluations}, nil)
	must(t, err)
	if len(builds.Toplevels) != 1 {
		t.Errorf("built: got %v, want web1", builds.Toplevels)
	}
}

func TestSomethingElseThanASystemIsRefused(t *testing.T) {
	f := &fakeNix{notASys: map[proto.StorePath]bool{drv(t, "web1"): true}}
	b := newBuilder(t, f)
	builds, err := b.Build(t.Context(), Evaluations{Hosts: map[proto.HostName]Evaluation{host(t, "web1"): evaluation(t, "web1"), host(t, "db1"): evaluation(t, "db1")}}, nil)
	must(t, err)
	failed := builds.Failed[host(t, "web1")]
	var not *NotAToplevelError
	if failed == nil || failed.Reason != proto.ReasonNotAToplevel || !errors.As(failed, &not) {
		t.Fatalf("web1: got %v, want it to fail with %s", failed, proto.ReasonNotAToplevel)
	}
	if want := []string{"bin/switch-to-configuration", "init", "init-interface-version", "nixos-version", "etc"}; !slices.Equal(not.Missing, want) {
		t.Errorf("missing: got %v, want %v", not.Missing, want)
	}
	if len(builds.Toplevels) != 1 {
		t.Errorf("built: got %v, want db1", builds.Toplevels)
	}
}

// TestASystemThatNobodyBuildsForHoldsUpNoOther has the words, and the ways, of Nix
// 2.26.3: it builds nothing more.
func TestASystemThatNobodyBuildsForHoldsUpNoOther(t *testing.T) {
	f := &fakeNix{foreign: map[proto.StorePath]bool{drv(t, "arm1"): true, drv(t, "arm2"): true}}
	b := newBuilder(t, f)
	evaluations := map[proto.HostName]Evaluation{}
	for _, name := range []string{"arm1", "arm2", "db1", "web1"} {
		evaluations[host(t, name)] = evaluation(t, name)
	}
	builds, err := b.Build(t.Context(), Evaluations{Hosts: evaluations}, nil)
	must(t, err)
	if len(builds.Toplevels) != 2 || len(builds.Failed) != 2 {
		t.Errorf("built %v, failed %v; want db1 and web1 built", builds.Toplevels, builds.Failed)
	}
	for _, name := range []string{"arm1", "arm2"} {
		if failed := builds.Failed[host(t, name)]; failed == nil || failed.Reason != proto.ReasonNoBuilder || !strings.Contains(failed.Error(), "aarch64-linux") {
			t.Errorf("%s: got %v, want it to fail with %s", name, failed, proto.ReasonNoBuilder)
		}
	}
	if diff := cmp.Diff([]string{"give up", "give up", "build db1", "build web1"}, f.calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestABuildHostThatCannotBeReachedIsNoHostsFault(t *testing.T) {
	f := &fakeNix{lost: fmt.Errorf("%w: ssh-ng://big", nix.ErrUnreachable)}
	b := newBuilder(t, f)
	hosts := map[proto.HostName]Evaluation{host(t, "web1"): evaluation(t, "web1")}
	if builds, err := b.Build(t.Context(), Evaluations{Hosts: hosts}, nil); !errors.Is(err, nix.ErrUnreachable) {
		t.Errorf("got %+v, error %v, want %v", builds, err, nix.ErrUnreachable)
	}
	f.lost = nil
	builds, err := b.Build(t.Context(), Evaluations{Hosts: hosts}, nil)
	must(t, err)
	if len(builds.Toplevels) != 1 {
		t.Errorf("tried again: got %+v, want web1 built", builds)
	}
}

func TestABuildWithoutEndHoldsUpNobodyElse(t *testing.T) {
	f := &fakeNix{hangs: map[proto.StorePath]bool{drv(t, "web1"): true}}
	b := newBuilder(t, f)
	b.o.BuildTimeout = 10 * time.Millisecond
	builds, err := b.Build(t.Context(), Evaluations{Hosts: map[proto.HostName]Evaluation{host(t, "web1"): evaluation(t, "web1"), host(t, "db1"): evaluation(t, "db1")}}, nil)
	must(t, err)
	if len(builds.Toplevels) != 1 || builds.Toplevels[host(t, "db1")].IsZero() {
		t.Errorf("built: got %v, want db1", builds.Toplevels)
	}
	failed := builds.Failed[host(t, "web1")]
	if failed == nil || failed.Reason != proto.ReasonBuildFailed || !strings.Contains(failed.Error(), "no end within 10ms") {
		t.Errorf("web1: got %v, want it to fail with %s, since it has no end", failed, proto.ReasonBuildFailed)
	}
}

// TestAllTriesOfABuildHaveOneEnd: each host that fails has the others built again.
func TestAllTriesOfABuildHaveOneEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeNix{takes: 90 * time.Minute, foreign: map[proto.StorePath]bool{drv(t, "arm1"): true}}
		b := newBuilder(t, f)
		began := time.Now()
		builds, err := b.Build(t.Context(), Evaluations{Hosts: map[proto.HostName]Evaluation{host(t, "arm1"): evaluation(t, "arm1"), host(t, "web1"): evaluation(t, "web1")}}, nil)
		must(t, err)
		if took := time.Since(began); took != b.o.BuildTimeout {
			t.Errorf("it took %s, want the %s that it has", took, b.o.BuildTimeout)
		}
		failed := builds.Failed[host(t, "web1")]
		if failed == nil || !strings.Contains(failed.Error(), "no end within 2h0m0s") || len(builds.Failed) != 2 {
			t.Errorf("web1: got %v, want that there was no time left", failed)
		}
	})
}

func TestADerivationThatSaysNothingFailsAlone(t *testing.T) {
	f := &fakeNix{
		broken:   map[proto.StorePath]bool{drv(t, "web1"): true},
		requires: map[proto.StorePath][]string{drv(t, "web1"): {"tests"}},
		// As Nix 2.26.3 has it.
		buildErr: `error: building of '` + drv(t, "tests").String() + `^out' timed out after 600 seconds of silence
error: 1 dependencies of derivation '` + drv(t, "web1").String() + `' failed to build
`,
	}
	b := newBuilder(t, f)
	builds, err := b.Build(t.Context(), Evaluations{Hosts: map[proto.HostName]Evaluation{host(t, "web1"): evaluation(t, "web1"), host(t, "db1"): evaluation(t, "db1")}}, nil)
	must(t, err)
	if got, want := f.silent, 10*time.Minute; got != want {
		t.Errorf("builders may be silent for %s, want %s", got, want)
	}
	failed := builds.Failed[host(t, "web1")]
	if len(builds.Toplevels) != 1 || failed == nil || !strings.Contains(failed.Error(), "seconds of silence") {
		t.Errorf("built %v, web1: %v; want db1 built, and web1 failed for the silence", builds.Toplevels, failed)
	}
}

func TestAStoreThatAnswersNoQuestionIsNotWaitedForWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, f := range []*fakeNix{{mute: true}, {deaf: true}} {
			f.broken = map[proto.StorePath]bool{drv(t, "web1"): true}
			f.buildErr = "error: builder for '" + drv(t, "web1").String() + "' failed with exit code 3;\n"
			_, err := newBuilder(t, f).Build(t.Context(), Evaluations{Hosts: map[proto.HostName]Evaluation{host(t, "web1"): evaluation(t, "web1")}}, nil)
			if err == nil || !strings.Contains(err.Error(), "no end within") {
				t.Errorf("error = %v, want one that says for how long it was waited", err)
			}
		}
	})
}

func TestAToplevelThatWasRemovedIsBuiltAgain(t *testing.T) {
	b := newBuilder(t, &fakeNix{})
	hosts := map[proto.HostName]Evaluation{host(t, "web1"): evaluation(t, "web1")}
	_, err := b.Build(t.Context(), Evaluations{Hosts: hosts}, nil)
	must(t, err)
	must(t, os.RemoveAll(filepath.Join(b.o.Store, evaluation(t, "web1").Toplevel.Base())))
	builds, err := b.Build(t.Context(), Evaluations{Hosts: hosts}, nil)
	must(t, err)
	if len(builds.Failed) != 1 {
		t.Fatalf("right after: %+v, want it to fail once", builds)
	}
	builds, err = b.Build(t.Context(), Evaluations{Hosts: hosts}, nil)
	must(t, err)
	if len(builds.Toplevels) != 1 {
		t.Errorf("tried again: got %v, want it built", builds.Failed)
	}
}

func TestCheckToplevelWantsAProgram(t *testing.T) {
	dir := t.TempDir()
	toplevel := evaluation(t, "web1").Toplevel
	makeToplevel(t, filepath.Join(dir, toplevel.Base()))
	must(t, checkToplevel(dir, toplevel))
	must(t, os.Chmod(filepath.Join(dir, toplevel.Base(), "bin/switch-to-configuration"), 0o644))
	if err := checkToplevel(dir, toplevel); !errors.As(err, new(*NotAToplevelError)) {
		t.Errorf("switch-to-configuration that cannot be run: got error %v, want a NotAToplevelError", err)
	}
}

func TestBuildEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	newer := errors.New("a newer revision came")
	cancel(newer)
	_, err := newBuilder(t, &fakeNix{}).Build(ctx, Evaluations{Hosts: map[proto.HostName]Evaluation{host(t, "web1"): evaluation(t, "web1")}}, nil)
	if !errors.Is(err, newer) {
		t.Errorf("got error %v, want %v", err, newer)
	}
}

func TestRootsAreThereBeforeTheBuild(t *testing.T) {
	f := &fakeNix{broken: map[proto.StorePath]bool{drv(t, "web1"): true}}
	b := newBuilder(t, f)
	_, err := b.Build(t.Context(), Evaluations{Hosts: map[proto.HostName]Evaluation{host(t, "web1"): evaluation(t, "web1")}}, nil)
	must(t, err)
	if got, want := rootsOf(t, b, "web1"), []string{"web1"}; !cmp.Equal(got, want) {
		t.Errorf("roots: got %v, want %v", got, want)
	}
}

func TestPruneKeepsTheNewestAndTheNamed(t *testing.T) {
	b := newBuilder(t, &fakeNix{})
	paths := map[string]proto.StorePath{}
	for i, name := range []string{"proven", "r1", "r2", "r3", "r4"} {
		paths[name] = evaluation(t, name).Toplevel
		must(t, b.Root(host(t, "web1"), paths[name]))
		age(t, b, "web1", paths[name], i)
	}
	must(t, b.Root(host(t, "web1"), paths["r1"])) // built again: now the newest
	must(t, b.Prune(host(t, "web1"), paths["proven"]))
	if got, want := rootsOf(t, b, "web1"), []string{"proven", "r1", "r4"}; !cmp.Equal(got, want) {
		t.Errorf("roots: got %v, want %v", got, want)
	}
	must(t, b.Prune(host(t, "never-built")))
}

func TestUnrootLeavesNothingOfAHost(t *testing.T) {
	b := newBuilder(t, &fakeNix{})
	web1, web2, toplevel := host(t, "web1"), host(t, "web2"), evaluation(t, "same").Toplevel
	must(t, b.Unroot(web1)) // never built
	must(t, os.MkdirAll(filepath.Join(b.o.Roots, "_not-a-host"), 0o755))
	for _, h := range []proto.HostName{web2, web1} {
		must(t, b.Root(h, toplevel))
	}
	must(t, b.Root(web1, evaluation(t, "web1").Toplevel))
	hosts, err := b.Rooted()
	must(t, err)
	if want := []proto.HostName{web1, web2}; !slices.Equal(hosts, want) {
		t.Errorf("hosts with roots: got %v, want %v", hosts, want)
	}
	must(t, b.Unroot(web1))
	hosts, err = b.Rooted()
	must(t, err)
	if want := []proto.HostName{web2}; !slices.Equal(hosts, want) {
		t.Errorf("hosts with roots, one of which left: got %v, want %v", hosts, want)
	}
	if got, want := rootsOf(t, b, "web2"), []string{"same"}; !cmp.Equal(got, want) {
		t.Errorf("roots of the other one: got %v, want %v", got, want)
	}
}

// rootsOf returns the names of what is rooted for a host.
func rootsOf(t *testing.T, b *Builder, name string) []string {
	t.Helper()
	roots, err := b.roots(host(t, name))
	must(t, err)
	var names []string
	for _, r := range roots {
		p, err := proto.ParseStorePath(r.toplevel)
		must(t, err)
		names = append(names, p.Base()[33:])
	}
	slices.Sort(names)
	return names
}

// age makes a root as old as its place in a list from the oldest to the newest.
func age(t *testing.T, b *Builder, name string, toplevel proto.StorePath, place int) {
	t.Helper()
	made, err := unix.TimeToTimespec(time.Now().Add(-time.Hour + time.Duration(place)*time.Minute))
	must(t, err)
	link := filepath.Join(b.o.Roots, name, toplevel.Hash())
	must(t, unix.UtimesNanoAt(unix.AT_FDCWD, link, []unix.Timespec{made, made}, unix.AT_SYMLINK_NOFOLLOW))
}
