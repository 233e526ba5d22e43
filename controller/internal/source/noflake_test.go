package source_test

import (
	"errors"
	"strings"
	"testing"

	"kedge/controller/internal/source"
	"kedge/internal/noflake"
)

func TestARepositoryWithoutAFlake(t *testing.T) {
	for name, o := range map[string]*origin{"borrowed": newOrigin(t), "fetched": newRemoteOrigin(t)} {
		t.Run(name, func(t *testing.T) {
			o.commit("nix/fleet.nix", "{ hosts = { }; }")
			revision := o.commit("other/file", "text")
			options := source.Options{URL: o.dir, Branch: "main", Dir: t.TempDir(), Entry: noflake.Entry{File: "nix/fleet.nix", Attribute: "hosts"}}
			r := newRepository(t, options)
			tree := checkout(t, r, revision)
			files, query := r.files(t, tree)
			if tree.Revision != revision || query.Get("rev") != revision.String() {
				t.Errorf("tree of %s, and Nix is told %v", tree.Revision, query)
			}
			flake, others, _ := strings.Cut(files, "\nsource/")
			if want := "nix/fleet.nix: { hosts = { }; }\nsource/other/file: text\n"; !strings.HasPrefix(flake, "flake.nix: ") || !strings.Contains(flake, "nix/fleet.nix") || others != want {
				t.Errorf("Nix is given %q, want a flake.nix and %q", files, want)
			}
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
