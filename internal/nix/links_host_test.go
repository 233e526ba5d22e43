//go:build host

package nix

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"kedge/proto"
)

// These tests hold [Links] against the nix-env of whatever Nix is there.

// A profileChange is one change, by a number of a generation or to a path.
type profileChange struct {
	what   string
	number proto.Generation
	path   proto.StorePath
}

func (p profileChange) byLinks(ctx context.Context, profile string) error {
	switch p.what {
	case "set":
		return Links{}.SetProfile(ctx, profile, p.path)
	case "switch":
		return Links{}.SwitchGeneration(ctx, profile, p.number)
	default:
		return Links{}.DeleteGenerations(ctx, profile, p.number)
	}
}

func (p profileChange) byNix(ctx context.Context, c *CLI, profile string) error {
	args := map[string][]string{
		"set":    {"--set", p.path.String()},
		"switch": {"--switch-generation", p.number.String()},
		"delete": {"--delete-generations", p.number.String()},
	}[p.what]
	_, err := c.run(ctx, "nix-env", append([]string{"--profile", profile}, args...), nil)
	return err
}

// TestRealNixEnvDoesTheSame makes the same changes, many and at random, by Links
// and by nix-env: to one profile each, and to one that they change in turn.
func TestRealNixEnvDoesTheSame(t *testing.T) {
	ctx, c := t.Context(), realCLI(t)
	paths := realPaths(t, c)
	ours, theirs, shared := filepath.Join(t.TempDir(), "system"), filepath.Join(t.TempDir(), "system"), filepath.Join(t.TempDir(), "system")
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same changes each time
	for i := range 60 {
		change := profileChange{"set", proto.Generation(1 + random.IntN(8)), paths[random.IntN(len(paths))]}
		if i > 3 {
			change.what = []string{"set", "switch", "delete"}[random.IntN(3)]
		}
		byLinks, byNix := change.byLinks(ctx, ours), change.byNix(ctx, c, theirs)
		if (byLinks == nil) != (byNix == nil) {
			t.Errorf("%d, %v: Links says %v, nix-env says %v", i, change, byLinks, byNix)
		}
		if i%2 == 0 {
			_ = change.byLinks(ctx, shared) // what it says was looked at
		} else {
			_ = change.byNix(ctx, c, shared)
		}
		want := namesIn(t, theirs)
		if got := namesIn(t, ours); got != want {
			t.Fatalf("%d, %v: Links made\n%s\nnix-env made\n%s", i, change, got, want)
		}
		if got := namesIn(t, shared); got != want {
			t.Fatalf("%d, %v: in turn they made\n%s\nnix-env made\n%s", i, change, got, want)
		}
	}
	for _, profile := range []string{ours, shared} {
		if got, want := listed(t, c, profile), listed(t, c, theirs); !slices.Equal(got, want) {
			t.Errorf("nix-env lists %q, want %q", got, want)
		}
	}
}

// TestRealNixEnvWaitsForOurLock has nix-env change a profile while we do.
func TestRealNixEnvWaitsForOurLock(t *testing.T) {
	ctx, c := t.Context(), realCLI(t)
	paths := realPaths(t, c)
	profile := filepath.Join(t.TempDir(), "system")
	for _, p := range paths {
		if err := (Links{}).SetProfile(ctx, profile, p); err != nil {
			t.Fatal(err)
		}
	}
	var theirs sync.WaitGroup
	err := whileLocked(ctx, profile, func() error {
		waits, said, err := os.Pipe()
		if err != nil {
			return err
		}
		theirs.Go(func() {
			defer said.Close() // only this process has another end
			cmd := c.command(ctx, c.argv("nix-env", []string{"--profile", profile, "--switch-generation", "1"}, nil, nil), nil)
			cmd.Stderr = said
			if err := cmd.Run(); err != nil {
				t.Error(err)
			}
		})
		// It says what it waits for.
		text := make([]byte, stderrLimit)
		n, err := waits.Read(text)
		if err == nil && !strings.Contains(string(text[:n]), "waiting for lock") {
			err = fmt.Errorf("nix-env says %q", text[:n])
		}
		if g, currentErr := CurrentGeneration(profile); currentErr != nil || g.Number != proto.Generation(len(paths)) {
			t.Errorf("current in spite of our lock: %v, %v", g, currentErr)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	theirs.Wait()
	requireCurrent(t, profile, 1, paths[0])
}

// TestRealNixEnvAtTheSameTime has nix-env delete generations, again and again,
// while we make new ones: all that we set stays whole.
func TestRealNixEnvAtTheSameTime(t *testing.T) {
	ctx, c := t.Context(), realCLI(t)
	paths := realPaths(t, c)
	profile := filepath.Join(t.TempDir(), "system")
	if err := (Links{}).SetProfile(ctx, profile, paths[0]); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var theirs sync.WaitGroup
	theirs.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if _, err := c.run(ctx, "nix-env", []string{"--profile", profile, "--delete-generations", "old"}, nil); err != nil {
				t.Error(err)
			}
		}
	})
	const sets = 200
	for i := range sets {
		path := paths[i%len(paths)]
		if err := (Links{}).SetProfile(ctx, profile, path); err != nil {
			t.Error(err)
		}
		if g, err := CurrentGeneration(profile); err != nil || g.Path != path {
			t.Errorf("set %d: got %v, %v; want %s", i, g, err, path)
		}
	}
	close(done)
	theirs.Wait()
	if g, err := CurrentGeneration(profile); err != nil || g.Number != sets {
		t.Errorf("at the end: got %v, %v", g, err)
	}
	if _, err := os.Lstat(profile + ".lock"); err == nil {
		t.Error("a lock is left behind")
	}
}

// realPaths returns valid paths, two or more.
func realPaths(t *testing.T, c *CLI) []proto.StorePath {
	t.Helper()
	closure, err := c.Closure(t.Context(), buildGood(t, c))
	if err != nil {
		t.Fatal(err)
	}
	paths := make([]proto.StorePath, len(closure))
	for i, p := range closure {
		paths[i] = p.Path
	}
	return paths
}

// namesIn returns everything in the profile's directory, which it has for itself.
func namesIn(t *testing.T, profile string) string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(profile))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join(filepath.Dir(profile), e.Name()))
		if err != nil {
			t.Error(err)
		}
		names = append(names, e.Name()+" -> "+target)
	}
	return strings.Join(names, "\n")
}

// listed returns the numbers of the generations that nix-env lists, and which is
// the current one.
func listed(t *testing.T, c *CLI, profile string) []string {
	t.Helper()
	var all []string
	for line := range strings.Lines(output(t, c, "nix-env", "--profile", profile, "--list-generations")) {
		number := strings.Fields(line)[0]
		if strings.Contains(line, "current") {
			number += " current"
		}
		all = append(all, number)
	}
	return all
}
