package source_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kedge/controller/internal/source"
	"kedge/proto"
)

// longHistory returns a repository with more commits than are fetched without a policy,
// and the first of them.
func longHistory(t *testing.T) (*origin, proto.Revision) {
	t.Helper()
	o := newRemoteOrigin(t)
	first := o.commit("flake.nix", "{ }")
	o.commits(60)
	return o, first
}

// gitThat has git do something else where its arguments match a pattern of a shell.
func gitThat(t *testing.T, pattern, does string) {
	t.Helper()
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	script := "#!/bin/sh\ncase \"$*\" in " + pattern + ") " + does + ";; esac\nexec " + git + " \"$@\"\n"
	if err := os.WriteFile(filepath.Join(bin, "git"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
}

// TestNoRevisionWaitsToBeToldOf: that nobody knows whether it was pushed over keeps
// it from nobody.
func TestNoRevisionWaitsToBeToldOf(t *testing.T) {
	o, first := longHistory(t)
	r := newRepository(t, source.Options{URL: o.dir, Branch: "main"})
	newest := check(t, r)
	if err := r.Fetch(t.Context(), newest); err != nil {
		t.Fatal(err)
	}
	removeAll(t, o.dir)
	if over, err := r.Admit(t.Context(), first, newest); over || err != nil {
		t.Errorf("got %t, %v, want it admitted", over, err)
	}
}

// TestNoRevisionWaitsForAHistory longer than for anything else, if that is only told of.
func TestNoRevisionWaitsForAHistory(t *testing.T) {
	o, first := longHistory(t)
	state := t.TempDir()
	newest := check(t, newRepository(t, source.Options{URL: o.dir, Branch: "main"}))
	checkout(t, newRepository(t, source.Options{URL: o.dir, Branch: "main", Dir: state}), newest)
	gitThat(t, "*cat-file*", "exit 1")
	gitThat(t, "*--unshallow*", "exec sleep 600")
	var log bytes.Buffer
	r := newRepository(t, source.Options{
		URL: o.dir, Branch: "main", Dir: state, Timeout: 100 * time.Millisecond, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if over, err := r.Admit(t.Context(), first, newest); over || err != nil {
		t.Errorf("got %t, %v, want it admitted", over, err)
	}
	if said := log.String(); !strings.Contains(said, "nobody knows") || !strings.Contains(said, "no end within 100ms") {
		t.Errorf("the log is %q, want that nobody knows, and why", said)
	}
}

// TestGoingFarBackIsNoForcePush where our copy has not the history between.
func TestGoingFarBackIsNoForcePush(t *testing.T) {
	o, first := longHistory(t)
	r := newRepository(t, source.Options{URL: o.dir, Branch: "main"})
	newest := check(t, r)
	if err := r.Fetch(t.Context(), newest); err != nil {
		t.Fatal(err)
	}
	o.git("reset", "--quiet", "--hard", first.String())
	if err := r.Fetch(t.Context(), check(t, r)); err != nil {
		t.Fatal(err)
	}
	if over, err := r.Admit(t.Context(), newest, first); over || err != nil {
		t.Errorf("got %t, %v, want it admitted", over, err)
	}
}

// TestAGitThatFailsIsNoAnswer: what it was asked of the history is not known then.
func TestAGitThatFailsIsNoAnswer(t *testing.T) {
	o := newRemoteOrigin(t)
	base := o.commit("flake.nix", "{ }")
	newest := o.commit("a", "1")
	gitThat(t, "*merge-base*", "echo 'fatal: it is broken' >&2; exit 128")
	for name, policy := range map[string]source.Policy{"refused": {RefuseForcePush: true}, "told of": {}} {
		r := newRepository(t, source.Options{URL: o.dir, Branch: "main", Policy: policy})
		if err := r.Fetch(t.Context(), newest); err != nil {
			t.Fatal(err)
		}
		over, err := r.Admit(t.Context(), base, newest)
		if over || errors.Is(err, source.ErrForcePushed) {
			t.Errorf("%s: got %t, %v, which is a force-push", name, over, err)
		}
		if failed := err != nil && strings.Contains(err.Error(), "it is broken"); failed != policy.RefuseForcePush {
			t.Errorf("%s: got error %v", name, err)
		}
	}
}

// TestAShallowCloneLacksWhatAPolicyLooksAt, and says so; without a policy it does.
func TestAShallowCloneLacksWhatAPolicyLooksAt(t *testing.T) {
	whole := newOrigin(t)
	allowed := filepath.Join(t.TempDir(), "allowed")
	writeFile(t, allowed, signer(t, whole))
	for range 3 {
		whole.commit("flake.nix", "{ }")
	}
	o := &origin{t, filepath.Join(t.TempDir(), "shallow")}
	whole.git("clone", "--quiet", "--depth=1", "file://"+whole.dir, o.dir)
	state := t.TempDir()
	deployed := check(t, newRepository(t, source.Options{URL: o.dir, Branch: "main"}))
	checkout(t, newRepository(t, source.Options{URL: o.dir, Branch: "main", Dir: state}), deployed)
	newest := o.commit("a", "1")
	for name, options := range map[string]source.Options{
		"signatures":                    {Policy: source.Policy{Signers: source.Signers{SSH: allowed}}},
		"force-pushes":                  {Policy: source.Policy{RefuseForcePush: true}},
		"where there was no policy yet": {Policy: source.Policy{RefuseForcePush: true}, Dir: state},
	} {
		options.URL, options.Branch = o.dir, "main"
		r := newRepository(t, options)
		if err := r.Fetch(t.Context(), newest); !errors.Is(err, source.ErrUnreachable) || !strings.Contains(err.Error(), "it is a shallow clone itself") {
			t.Errorf("%s: got error %v, want ErrUnreachable, and why", name, err)
		}
	}
	r := newRepository(t, source.Options{URL: o.dir, Branch: "main", Dir: state})
	checkout(t, r, newest)
	if over, err := r.Admit(t.Context(), deployed, newest); over || err != nil {
		t.Errorf("without a policy: got %t, %v, want it admitted", over, err)
	}
	o.git("fetch", "--quiet", "--unshallow", whole.dir)
	if err := newRepository(t, source.Options{URL: o.dir, Branch: "main", Dir: state, Policy: source.Policy{RefuseForcePush: true}}).Fetch(t.Context(), newest); err != nil {
		t.Errorf("once it is whole: %v", err)
	}
}
