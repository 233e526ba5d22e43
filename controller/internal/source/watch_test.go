package source_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kedge/controller/internal/source"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// watched starts to watch, and returns what tells of pushes. The watch ends
// with t.
func watched(t *testing.T, r repository) <-chan struct{} {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	moved := make(chan struct{}, 100)
	ended := make(chan error, 1)
	go func() { ended <- r.Watch(ctx, func() { moved <- struct{}{} }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return moved
}

// await waits to be told that it is so.
func await(t *testing.T, moved <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-moved:
	case <-time.After(patience):
		t.Fatalf("nobody told that %s", what)
	}
}

func TestWatchTellsOfPushes(t *testing.T) {
	o := newOrigin(t)
	first := o.commit("flake.nix", "{ }")
	o.git("branch", "other")
	r := newRepository(t, source.Options{URL: o.dir, Branch: "main"})
	moved := watched(t, r)
	await(t, moved, "the watch began")
	o.commit("flake.nix", "{ }")
	await(t, moved, "there was a push")
	if got, err := r.Check(t.Context()); err != nil || got == first {
		t.Errorf("after the push: got %s, %v", got, err)
	}
}

func TestWatchTellsOfPushesToWhatWasNotThere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "fleet")
	moved := watched(t, newRepository(t, source.Options{URL: dir, Branch: "env/prod"}))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	o := initOrigin(t, dir)
	o.commit("flake.nix", "{ }")
	o.git("branch", "env/prod")
	await(t, moved, "there is a repository with the branch")
	o.git("branch", "--delete", "env/prod") // and the folder with it
	o.git("branch", "env/prod")
	await(t, moved, "the branch is there again")
	o.commit("flake.nix", "{ }")
	o.git("branch", "--force", "env/prod")
	await(t, moved, "there was a push")
}

func TestWatchIsSilentAboutOtherBranches(t *testing.T) {
	o := newOrigin(t)
	o.commit("flake.nix", "{ }")
	r := newRepository(t, source.Options{URL: o.dir, Branch: "main"})
	moved := watched(t, r)
	await(t, moved, "the watch began")
	o.git("branch", "other")
	o.git("branch", "main.2")
	select {
	case <-moved:
		t.Error("it told of another branch")
	case <-time.After(300 * time.Millisecond):
	}
}

func TestWatchOfARepositoryElsewhereOnlyWaits(t *testing.T) {
	for _, url := range []string{"https://example.org/fleet.git", t.TempDir()} {
		moved := watched(t, newRepository(t, source.Options{URL: url, Branch: "main"}))
		select {
		case <-moved:
			t.Errorf("%s: somebody told", url)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
