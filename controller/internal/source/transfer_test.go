package source_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kedge/controller/internal/source"
	"kedge/proto"
)

// line has an ssh that runs the command here, and gives on what some program lets through.
func line(t *testing.T, through string) {
	t.Helper()
	bin := t.TempDir()
	script := "#!/bin/sh\nfor last; do :; done\nsh -c \"$last\" | " + through + "\n"
	if err := os.WriteFile(filepath.Join(bin, "ssh"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
}

// These let all through, less than half a MiB, and all of it after a second.
const (
	whole  = "cat"
	broken = "dd bs=65536 count=7 2>/dev/null"
	late   = "{ sleep 1; cat; }"
)

// large returns text that cannot be packed.
func large() string {
	text := make([]byte, 1<<20)
	_, _ = rand.Read(text) // never fails
	return string(text)
}

// begun returns the packs that git had begun to write into a repository of ours.
func begun(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, ".git", "objects", "pack", "*tmp*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestAFetchThatDoesNotComeToItsEndLeavesNothing: what it brought would be there with each
// try once more.
func TestAFetchThatDoesNotComeToItsEndLeavesNothing(t *testing.T) {
	o, state := newOrigin(t), t.TempDir()
	revision := o.commit("flake.nix", large())
	r := newRepository(t, source.Options{URL: "ssh://git@example.org" + o.dir, Branch: "main", Dir: state})
	mirror := filepath.Join(state, "mirror")
	t.Run("of the source", func(t *testing.T) {
		line(t, broken)
		if err := r.Fetch(t.Context(), revision); !errors.Is(err, source.ErrUnreachable) {
			t.Fatalf("got error %v, want ErrUnreachable", err)
		}
		if left := begun(t, mirror); len(left) > 0 {
			t.Errorf("there is %v", left)
		}
	})
	t.Run("of a life before", func(t *testing.T) {
		line(t, whole)
		for _, name := range []string{"tmp_pack_a", "tmp_idx_a", ".tmp-1-pack-a"} {
			writeFile(t, filepath.Join(mirror, ".git", "objects", "pack", name), "x")
		}
		checkout(t, r, revision)
		if left := begun(t, mirror); len(left) > 0 {
			t.Errorf("there is %v", left)
		}
	})
	t.Run("of a submodule", func(t *testing.T) {
		lib := newOrigin(t)
		revision := o.submodule("lib", "ssh://git@example.org"+lib.dir, lib.commit("text", large()))
		r := newRepository(t, source.Options{URL: o.dir, Branch: "main", Dir: state, Submodules: true})
		if err := r.Fetch(t.Context(), revision); err != nil {
			t.Fatal(err)
		}
		line(t, broken)
		if _, err := r.Checkout(t.Context(), revision); err == nil {
			t.Fatal("it came to its end")
		}
		if left := begun(t, filepath.Join(state, "modules")); len(left) > 0 {
			t.Errorf("there is %v", left)
		}
	})
}

// TestAFirstFetchIsGivenTime: it begins anew each time, so that one that is ended early
// never comes to its end. Whoever has the branch needs only what is new.
func TestAFirstFetchIsGivenTime(t *testing.T) {
	o, lib, state := newRemoteOrigin(t), newOrigin(t), t.TempDir()
	o.commit("flake.nix", "{ }")
	first := o.submodule("lib", "ssh://git@example.org"+lib.dir, lib.commit("text", "x"))
	second, third := o.commit("a", "1"), o.commit("a", "2")
	line(t, whole)
	var log bytes.Buffer
	for _, c := range []struct {
		name     string
		revision proto.Revision
		policy   source.Policy
		want     []string // how long each fetch may take
	}{
		{"the first, and that of a submodule", first, source.Policy{}, []string{"30m0s", "30m0s"}},
		{"another one", second, source.Policy{}, []string{"2m0s"}},
		{"one with all of the history", third, source.Policy{RefuseForcePush: true}, []string{"30m0s"}},
	} {
		log.Reset()
		r := newRepository(t, source.Options{
			URL: o.dir, Branch: "main", Submodules: true, Dir: state, Policy: c.policy,
			Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		})
		checkout(t, r, c.revision)
		if got := given(log.String()); !slices.Equal(got, c.want) {
			t.Errorf("%s: fetches may take %v, want %v", c.name, got, c.want)
		}
	}
}

// given returns how long each fetch might take, as a log says.
func given(log string) (times []string) {
	for said := range strings.Lines(log) {
		if _, rest, found := strings.Cut(said, " timeout="); found && strings.Contains(said, "command=fetch") {
			times = append(times, strings.Fields(rest)[0])
		}
	}
	return times
}

// TestAFetchThatTookTooLongIsGivenTime: that the branch is there says nothing of how much
// is new. Once it is there, too, the next one has no more time than others.
func TestAFetchThatTookTooLongIsGivenTime(t *testing.T) {
	a, b := newOrigin(t), newOrigin(t)
	first, other := a.commit("flake.nix", "{ }"), b.commit("flake.nix", "{ } # b")
	for name, c := range map[string]struct {
		at   *origin
		then func() proto.Revision
	}{
		"of another repository":       {b, func() proto.Revision { return other }},
		"of a push that brings a lot": {a, func() proto.Revision { return a.commit("large", large()) }},
	} {
		t.Run(name, func(t *testing.T) {
			state := t.TempDir()
			line(t, whole)
			r := newRepository(t, source.Options{URL: "ssh://git@example.org" + a.dir, Branch: "main", Dir: state})
			if err := r.Fetch(t.Context(), first); err != nil {
				t.Fatal(err)
			}
			line(t, late)
			var log bytes.Buffer
			r = newRepository(t, source.Options{
				URL: "ssh://git@example.org" + c.at.dir, Branch: "main", Dir: state, Timeout: 500 * time.Millisecond,
				Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
			})
			revision := c.then()
			if err := r.Fetch(t.Context(), revision); !errors.Is(err, source.ErrUnreachable) || !strings.Contains(err.Error(), "no end within 500ms") {
				t.Fatalf("got error %v, want that it took too long", err)
			}
			if err := r.Fetch(t.Context(), revision); err != nil {
				t.Fatal(err)
			}
			if err := r.Fetch(t.Context(), c.at.commit("a", "1")); err == nil {
				t.Error("the one after it was given time, too")
			}
			if got, want := given(log.String()), []string{"500ms", "7.5s", "500ms"}; !slices.Equal(got, want) {
				t.Errorf("fetches may take %v, want %v", got, want)
			}
		})
	}
}
