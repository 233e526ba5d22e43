package source_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kedge/controller/internal/source"
	"kedge/proto"
)

// TestNixIsGivenWhatIsInGit, whatever attributes a file has, and in whatever order git
// has them.
func TestNixIsGivenWhatIsInGit(t *testing.T) {
	for name, o := range map[string]*origin{"borrowed": newOrigin(t), "fetched": newRemoteOrigin(t)} {
		o.commit(".gitattributes", "* text eol=crlf ident export-subst\nfoo.txt export-ignore")
		o.commit("flake.nix", "$Id$\n$Format:%H$")
		o.commit("foo/bar", "in a directory")
		o.commit("foo.txt", "beside it")
		if err := os.Symlink("../foo.txt", filepath.Join(o.dir, "foo", "link")); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(o.dir, "run"), "#!/bin/sh")
		if err := os.Chmod(filepath.Join(o.dir, "run"), 0o755); err != nil {
			t.Fatal(err)
		}
		revision := o.commit("größe", "ü")
		r := newRepository(t, source.Options{URL: o.dir, Branch: "main"})
		files, query := r.files(t, checkout(t, r, revision))
		want := ".gitattributes: * text eol=crlf ident export-subst\nfoo.txt export-ignore\nflake.nix: $Id$\n$Format:%H$\n" +
			"foo/bar: in a directory\nfoo/link -> ../foo.txt\nfoo.txt: beside it\ngröße: ü\nrun*: #!/bin/sh\n"
		if files != want {
			t.Errorf("%s: Nix is given\n%s, want\n%s", name, files, want)
		}
		if query.Get("rev") != revision.String() || query.Get("lastModified") != o.git("log", "-1", "--format=%ct") || len(query) != 2 {
			t.Errorf("%s: Nix is told %v", name, query)
		}
	}
}

// tree makes a tree by hand, with entries as git mktree takes them, and a commit of it,
// which is the newest.
func (o *origin) tree(entries string) proto.Revision {
	o.t.Helper()
	cmd := exec.Command("git", "-C", o.dir, "hash-object", "-t", "tree", "-w", "--literally", "--stdin")
	cmd.Stdin = strings.NewReader(entries)
	out, err := cmd.Output()
	if err != nil {
		o.t.Fatal(err)
	}
	commit := o.git("commit-tree", "-m", "x", strings.TrimSpace(string(out)))
	o.git("update-ref", "refs/heads/main", commit)
	revision, err := proto.ParseRevision(commit)
	if err != nil {
		o.t.Fatal(err)
	}
	return revision
}

// TestTreesThatNoGitMakes are borrowed, and so are looked at by nobody else.
func TestTreesThatNoGitMakes(t *testing.T) {
	o := newOrigin(t)
	o.commit("flake.nix", "{ }")
	id := o.git("rev-parse", "HEAD:flake.nix")
	raw := make([]byte, 20)
	for i := range raw {
		for _, c := range id[2*i : 2*i+2] {
			raw[i] = raw[i]<<4 | byte(strings.IndexRune("0123456789abcdef", c))
		}
	}
	good := "100644 flake.nix\x00" + string(raw)
	for what, tt := range map[string]struct{ tree, want string }{
		"a parent":     {"100644 ..\x00" + string(raw), `".." cannot be the name`},
		"a path":       {"100644 a/b\x00" + string(raw), `"a/b" cannot be the name`},
		"no name":      {"100644 \x00" + string(raw), `"" cannot be the name`},
		"twice":        {good + good, "flake.nix: it is there twice"},
		"a device":     {"60000 disk\x00" + string(raw), "disk: it has the mode 60000"},
		"half of it":   {good[:len(good)-1], "it ends in the middle"},
		"no such file": {"100644 flake.nix\x00" + strings.Repeat("x", 20), "it is not there"},
		"a wrong kind": {"40000 flake.nix\x00" + string(raw), "is a blob, want a tree"},
	} {
		revision := o.tree(tt.tree)
		r := newRepository(t, source.Options{URL: o.dir, Branch: "main"})
		if err := r.Fetch(t.Context(), revision); err != nil {
			t.Fatal(what, err)
		}
		if _, err := r.Checkout(t.Context(), revision); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got error %v, want %q in it", what, err, tt.want)
		}
	}
}

// TestAnObjectThatIsNotWhatItsNameSays is not given to Nix: a signed commit names all that
// there is in it.
func TestAnObjectThatIsNotWhatItsNameSays(t *testing.T) {
	o := newOrigin(t)
	o.commit("flake.nix", "{ }")
	other := o.commit("other", "{ bad = true; }")
	loose := func(name string) string {
		id := o.git("rev-parse", name)
		return filepath.Join(o.dir, ".git", "objects", id[:2], id[2:])
	}
	content, err := os.ReadFile(loose("HEAD:other"))
	if err != nil {
		t.Fatal(err)
	}
	removeAll(t, loose("HEAD:flake.nix"))
	writeFile(t, loose("HEAD:flake.nix"), string(content))
	r := newRepository(t, source.Options{URL: o.dir, Branch: "main"})
	if err := r.Fetch(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if tree, err := r.Checkout(t.Context(), other); err == nil {
		files, _ := r.files(t, tree)
		t.Errorf("Nix is given\n%s", files)
	} else if !strings.Contains(err.Error(), "it is another one, or damaged") && !strings.Contains(err.Error(), "hash mismatch") {
		t.Errorf("got error %v", err)
	}
}
