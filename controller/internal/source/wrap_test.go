package source_test

import (
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"kedge/controller/internal/source"
	"kedge/internal/noflake"
)

// ours returns what is in our copy, of what Nix is given.
func ours(t *testing.T, tree source.Tree) (o *origin, commit string) {
	t.Helper()
	u, err := url.Parse(tree.FlakeRef)
	if err != nil || u.Scheme != "git+file" {
		t.Fatalf("flake reference %s: %v, want git+file", tree.FlakeRef, err)
	}
	return &origin{t, u.Path}, u.Query().Get("rev")
}

func TestARepositoryWithoutAFlake(t *testing.T) {
	for name, o := range map[string]*origin{"borrowed": newOrigin(t), "fetched": newRemoteOrigin(t)} {
		t.Run(name, func(t *testing.T) {
			o.commit("nix/fleet.nix", "{ hosts = { }; }")
			revision := o.commit("other/file", "text")
			state := t.TempDir()
			options := source.Options{URL: o.dir, Branch: "main", Dir: state, Entry: noflake.Entry{File: "nix/fleet.nix", Attribute: "hosts"}}
			r := newRepository(t, options)
			tree := checkout(t, r, revision)
			copied, commit := ours(t, tree)
			if tree.Revision != revision || commit == revision.String() {
				t.Errorf("tree of %s and commit %s, want the revision %s, and a commit of ours", tree.Revision, commit, revision)
			}
			if got, want := copied.git("ls-tree", "-r", "--name-only", commit), "flake.nix\nsource/nix/fleet.nix\nsource/other/file"; got != want {
				t.Errorf("Nix is given %q, want %q", got, want)
			}
			if got := copied.git("show", commit+":flake.nix"); !strings.Contains(got, "nix/fleet.nix") {
				t.Errorf("flake.nix:\n%s", got)
			}
			if err := r.Tidy(t.Context()); err != nil {
				t.Fatal(err)
			}
			copied.git("gc", "--quiet", "--prune=now")
			copied.git("cat-file", "-e", commit+":source/other/file")

			writeFile(t, filepath.Join(state, "index.lock"), "") // of a git that was killed
			if again := checkout(t, newRepository(t, options), revision); again != tree {
				t.Errorf("once more: %+v, want %+v, which is evaluated already", again, tree)
			}
			options.Entry.Attribute = "machines"
			if other := checkout(t, newRepository(t, options), revision); other.FlakeRef == tree.FlakeRef {
				t.Error("another attribute makes no other flake")
			}
			options.Entry.File = "nix/gone.nix"
			r = newRepository(t, options)
			if _, err := r.Checkout(t.Context(), revision); !errors.Is(err, source.ErrNoFlake) || !strings.Contains(err.Error(), "want nix/gone.nix") {
				t.Errorf("a file that is not there: got error %v, want ErrNoFlake with its name", err)
			}
		})
	}
}

func TestOptionsOfARepositoryWithoutAFlake(t *testing.T) {
	o := source.Options{URL: "/srv/fleet.git", Branch: "main", Subdir: "nix", Entry: noflake.Entry{File: "/default.nix"}}
	problems := o.Problems()
	if len(problems) != 2 || !strings.HasPrefix(problems[0].Error(), "subdir: must be empty") || !strings.HasPrefix(problems[1].Error(), "file: ") {
		t.Errorf("problems %v, want one of subdir and one of file", problems)
	}
}
