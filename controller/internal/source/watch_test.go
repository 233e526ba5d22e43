package source_test

import (
	"context"
	"testing"
	"time"

	"kedge/controller/internal/source"
)

// watched starts to watch, and returns what tells of pushes. The watch ends
// with t.
func watched(t *testing.T, r *source.Repository) <-chan struct{} {
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

func TestWatchTellsOfPushes(t *testing.T) {
	o := newOrigin(t)
	first := o.commit("flake.nix", "{ }")
	o.git("branch", "other")
	r := newRepository(t, source.Options{URL: o.dir, Branch: "main"})
	moved := watched(t, r)

	// The watch may not have begun yet: push until it has.
	deadline := time.After(10 * time.Second)
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for told := false; !told; {
		o.commit("flake.nix", "{ }")
		select {
		case <-moved:
			told = true
		case <-again.C:
		case <-deadline:
			t.Fatal("nobody told of a push")
		}
	}
	if got, err := r.Check(t.Context()); err != nil || got == first {
		t.Errorf("after the push: got %s, %v", got, err)
	}
}

func TestWatchIsSilentAboutOtherBranches(t *testing.T) {
	o := newOrigin(t)
	o.commit("flake.nix", "{ }")
	r := newRepository(t, source.Options{URL: o.dir, Branch: "main"})
	moved := watched(t, r)
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
