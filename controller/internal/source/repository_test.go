package source_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kedge/controller/internal/source"
	"kedge/internal/noflake"
	"kedge/proto"
)

func TestANewRevisionIsFoundAndReady(t *testing.T) {
	for name, origin := range map[string]*origin{"borrowed": newOrigin(t), "fetched": newRemoteOrigin(t)} {
		t.Run(name, func(t *testing.T) {
			first := origin.commit("flake.nix", "{ }")
			r := newRepository(t, source.Options{URL: origin.dir, Branch: "main"})

			if got := check(t, r); got != first {
				t.Fatalf("newest revision: got %s, want %s", got, first)
			}
			second := origin.commit("flake.nix", "{ outputs = _: { }; }")
			if got := check(t, r); got != second {
				t.Fatalf("newest revision after a push: got %s, want %s", got, second)
			}
			tree := checkout(t, r, second)
			if tree.Revision != second || !strings.Contains(tree.FlakeRef, second.String()) {
				t.Errorf("tree: got %+v, want one of %s", tree, second)
			}
			checkout(t, r, second) // again changes nothing
			checkout(t, r, first)  // an older one is there, too
		})
	}
}

func TestAForcePushIsJustAnotherRevision(t *testing.T) {
	for name, origin := range map[string]*origin{"borrowed": newOrigin(t), "fetched": newRemoteOrigin(t)} {
		t.Run(name, func(t *testing.T) {
			base := origin.commit("flake.nix", "{ }")
			lost := origin.commit("flake.nix", "{ outputs = 1; }")
			r := newRepository(t, source.Options{URL: "file://" + origin.dir, Branch: "main"})
			checkout(t, r, check(t, r))

			origin.git("reset", "--quiet", "--hard", base.String())
			pushed := origin.commit("flake.nix", "{ outputs = 2; }")
			if got := check(t, r); got != pushed {
				t.Fatalf("newest revision: got %s, want %s", got, pushed)
			}
			checkout(t, r, pushed)

			// A repository that has let go of a revision cannot give it.
			origin.git("-c", "gc.reflogExpire=now", "-c", "gc.reflogExpireUnreachable=now", "gc", "--quiet", "--prune=now")
			fresh := newRepository(t, source.Options{URL: origin.dir, Branch: "main"})
			if err := fresh.Fetch(t.Context(), lost); !errors.Is(err, source.ErrRevisionGone) || errors.Is(err, source.ErrUnreachable) {
				t.Errorf("fetch of a revision that was pushed over: got error %v, want only ErrRevisionGone", err)
			}
			if err := fresh.Fetch(t.Context(), pushed); err != nil {
				t.Errorf("fetch after a failed one: %v", err)
			}
		})
	}
}

func TestARepositoryOnThisMachineIsCheckedWithoutStartingAnything(t *testing.T) {
	origin := newOrigin(t)
	revision := origin.commit("flake.nix", "{ }")
	r := newRepository(t, source.Options{URL: origin.dir, Branch: "main"})
	t.Setenv("PATH", t.TempDir())
	if got := check(t, r); got != revision {
		t.Errorf("newest revision: got %s, want %s", got, revision)
	}
}

// TestAPushHereCostsOneGit, or two if it has several commits.
func TestAPushHereCostsOneGit(t *testing.T) {
	o := newOrigin(t)
	base := o.commit("flake.nix", "{ }")
	r := newRepository(t, source.Options{URL: o.dir, Branch: "main"})
	checkout(t, r, check(t, r))
	started := filepath.Join(t.TempDir(), "started")
	for _, commits := range []int{1, 2} {
		var newest proto.Revision
		for i := range commits {
			newest = o.commit("a", fmt.Sprint(commits, i))
		}
		t.Run(fmt.Sprint(commits, " commits"), func(t *testing.T) {
			writeFile(t, started, "")
			gitThat(t, "*", "echo \"$*\" >>"+started)
			if got := check(t, r); got != newest {
				t.Fatalf("found %s, want %s", got, newest)
			}
			if err := r.Fetch(t.Context(), newest); err != nil {
				t.Fatal(err)
			}
			if over, err := r.Admit(t.Context(), base, newest); over || err != nil {
				t.Errorf("got %t, %v, want it admitted", over, err)
			}
			if _, err := r.Checkout(t.Context(), newest); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(started)
			if n := strings.Count(string(text), "\n"); n != commits || err != nil {
				t.Errorf("%d gits were started, want %d: %v\n%s", n, commits, err, text)
			}
		})
		base = newest
	}
}

func TestOnlyTheBranchItselfCounts(t *testing.T) {
	for name, origin := range map[string]*origin{"on this machine": newOrigin(t), "anywhere": newRemoteOrigin(t)} {
		t.Run(name, func(t *testing.T) {
			old := origin.commit("flake.nix", "{ }")
			origin.git("branch", "other/main")
			origin.git("update-ref", "refs/a/refs/heads/main", old.String())
			origin.git("tag", "main")
			newest := origin.commit("flake.nix", "{ outputs = 1; }")
			r := newRepository(t, source.Options{URL: origin.dir, Branch: "main"})
			if got := check(t, r); got != newest {
				t.Errorf("newest revision: got %s, want %s", got, newest)
			}
			origin.git("pack-refs", "--all")
			if got := check(t, r); got != newest {
				t.Errorf("newest revision, after the refs were packed: got %s, want %s", got, newest)
			}
			origin.git("symbolic-ref", "refs/heads/alias", "refs/heads/main")
			alias := newRepository(t, source.Options{URL: origin.dir, Branch: "alias"})
			if got := check(t, alias); got != newest {
				t.Errorf("newest revision of another name of the branch: got %s, want %s", got, newest)
			}
		})
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	origin := newOrigin(t)
	revision := origin.commit("README", "no flake here")

	missing := newRepository(t, source.Options{URL: filepath.Join(t.TempDir(), "gone"), Branch: "main"})
	if _, err := missing.Check(t.Context()); !errors.Is(err, source.ErrUnreachable) || !strings.Contains(err.Error(), "gone") || !strings.Contains(err.Error(), "see url") {
		t.Errorf("repository that does not exist: got error %v, want ErrUnreachable with its name, and what to do", err)
	}
	branch := newRepository(t, source.Options{URL: origin.dir, Branch: "production"})
	if _, err := branch.Check(t.Context()); !errors.Is(err, source.ErrNoBranch) || !strings.Contains(err.Error(), "production") {
		t.Errorf("branch that does not exist: got error %v, want ErrNoBranch with its name", err)
	}
	noFlake := newRepository(t, source.Options{URL: origin.dir, Branch: "main"})
	if err := noFlake.Fetch(t.Context(), revision); err != nil {
		t.Fatal(err)
	}
	if _, err := noFlake.Checkout(t.Context(), revision); !errors.Is(err, source.ErrNoFlake) {
		t.Errorf("revision without a flake: got error %v, want ErrNoFlake", err)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := noFlake.Check(stopped); !errors.Is(err, context.Canceled) || errors.Is(err, source.ErrUnreachable) {
		t.Errorf("after ctx ended: got error %v, want only context.Canceled", err)
	}
}

func TestAFlakeInASubdirectory(t *testing.T) {
	origin := newOrigin(t)
	revision := origin.commit("nix/fleet/flake.nix", "{ }")
	r := newRepository(t, source.Options{URL: origin.dir, Branch: "main", Subdir: "nix/fleet/"})
	if tree := checkout(t, r, revision); !strings.Contains(tree.FlakeRef, "dir=nix%2Ffleet") {
		t.Errorf("flake reference: got %s, want one with the subdirectory", tree.FlakeRef)
	}
	other := newRepository(t, source.Options{URL: origin.dir, Branch: "main", Subdir: "nix"})
	if err := other.Fetch(t.Context(), revision); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Checkout(t.Context(), revision); !errors.Is(err, source.ErrNoFlake) || !strings.Contains(err.Error(), "nix/flake.nix") {
		t.Errorf("flake elsewhere: got error %v, want ErrNoFlake with the file's name", err)
	}
}

func TestOurCopyHeals(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, dir string){
		"an empty HEAD":    func(t *testing.T, dir string) { truncate(t, filepath.Join(dir, ".git", "HEAD")) },
		"no objects":       func(t *testing.T, dir string) { removeAll(t, filepath.Join(dir, ".git", "objects")) },
		"half initialised": func(t *testing.T, dir string) { removeAll(t, filepath.Join(dir, ".git", "HEAD")) },
		"torn packs":       tearPacks,
		"a lock on the pointer": func(t *testing.T, dir string) {
			writeFile(t, filepath.Join(dir, ".git", "refs", "kedge", "fetched.lock"), "")
		},
		"a lock on the history": func(t *testing.T, dir string) { writeFile(t, filepath.Join(dir, ".git", "shallow.lock"), "") },
		"a damaged pointer":     func(t *testing.T, dir string) { truncate(t, filepath.Join(dir, ".git", "refs", "kedge", "fetched")) },
	} {
		t.Run(name, func(t *testing.T) {
			origin := newRemoteOrigin(t)
			state := t.TempDir()
			first := origin.commit("flake.nix", "{ }")
			checkout(t, newRepository(t, source.Options{URL: origin.dir, Branch: "main", Dir: state}), first)
			damage(t, filepath.Join(state, "mirror"))
			second := origin.commit("flake.nix", "{ outputs = 1; }")
			checkout(t, newRepository(t, source.Options{URL: origin.dir, Branch: "main", Dir: state}), second)
		})
	}
}

// TestOurOwnReferencesHeal: of a copy whose repository has nothing new, too. What fails
// because of them is tried again.
func TestOurOwnReferencesHeal(t *testing.T) {
	damages := map[string]func(t *testing.T, file string){
		"torn":   truncate,
		"locked": func(t *testing.T, file string) { writeFile(t, file+".lock", "") },
	}
	for name, origin := range map[string]*origin{"borrowed": newOrigin(t), "fetched": newRemoteOrigin(t)} {
		base := origin.commit("default.nix", "{ }")
		revision := origin.commit("default.nix", "{ outputs = 1; }")
		for damage, do := range damages {
			state := t.TempDir()
			r := newRepository(t, source.Options{
				URL: origin.dir, Branch: "main", Dir: state, Entry: noflake.Entry{File: "default.nix"}, Policy: source.Policy{RefuseForcePush: true},
			})
			deploy := func() error {
				if err := r.Fetch(t.Context(), revision); err != nil {
					return err
				}
				if _, err := r.Admit(t.Context(), base, revision); err != nil {
					return err
				}
				_, err := r.Checkout(t.Context(), revision)
				return err
			}
			if err := deploy(); err != nil {
				t.Fatal(err)
			}
			do(t, filepath.Join(state, "mirror", ".git", "refs", "kedge", "deployed"))
			if first := deploy(); first != nil {
				if err := deploy(); err != nil {
					t.Errorf("%s, %s: %v, and before %v", name, damage, err, first)
				}
			}
		}
	}
}

// TestALargeCopyIsNotTakenForDamaged: to look through it takes longer than a command may.
func TestALargeCopyIsNotTakenForDamaged(t *testing.T) {
	origin := newRemoteOrigin(t)
	state, bin := t.TempDir(), t.TempDir()
	checkout(t, newRepository(t, source.Options{URL: origin.dir, Branch: "main", Dir: state}), origin.commit("flake.nix", "{ }"))
	script := "#!/bin/sh\ncase \"$*\" in *fsck*) exec sleep 600;; esac\nexit 1\n"
	if err := os.WriteFile(filepath.Join(bin, "git"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	second := origin.commit("flake.nix", "{ outputs = 1; }")
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	r := newRepository(t, source.Options{URL: origin.dir, Branch: "main", Dir: state, Timeout: 200 * time.Millisecond})
	if err := r.Fetch(t.Context(), second); !errors.Is(err, source.ErrUnreachable) {
		t.Errorf("error = %v, want %v", err, source.ErrUnreachable)
	}
	if _, err := os.Stat(filepath.Join(state, "mirror", ".git", "HEAD")); err != nil {
		t.Errorf("our copy was thrown away: %v", err)
	}
}

func TestOurCopyFollowsItsRepositoryElsewhere(t *testing.T) {
	old, other := newOrigin(t), newRemoteOrigin(t)
	state := t.TempDir()
	checkout(t, newRepository(t, source.Options{URL: old.dir, Branch: "main", Dir: state}), old.commit("flake.nix", "{ }"))
	removeAll(t, old.dir)
	checkout(t, newRepository(t, source.Options{URL: other.dir, Branch: "main", Dir: state}), other.commit("flake.nix", "{ outputs = 1; }"))
}

func TestARepositoryOfAnotherUserCanBeRead(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	for name, origin := range map[string]*origin{"borrowed": newOrigin(t), "fetched": newRemoteOrigin(t)} {
		t.Run(name, func(t *testing.T) {
			revision := origin.commit("flake.nix", "{ }")
			for _, dir := range []string{origin.dir, origin.git("rev-parse", "--absolute-git-dir")} {
				giveAway(t, dir)
			}
			r := newRepository(t, source.Options{URL: origin.dir, Branch: "main"})
			if got := check(t, r); got != revision {
				t.Errorf("newest revision: got %s, want %s", got, revision)
			}
			checkout(t, r, revision)
		})
	}
}

// giveAway makes everything in dir another user's.
func giveAway(t *testing.T, dir string) {
	t.Helper()
	const nobody = 65534
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, nobody, nobody))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTidyKeepsWhatIsInUse(t *testing.T) {
	origin := newRemoteOrigin(t)
	r := newRepository(t, source.Options{URL: origin.dir, Branch: "main"})
	if err := r.Tidy(t.Context()); err != nil {
		t.Errorf("before anything was fetched: %v", err)
	}
	revision := origin.commit("flake.nix", "{ }")
	checkout(t, r, revision)
	if err := r.Tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkout(t, r, revision)
}
