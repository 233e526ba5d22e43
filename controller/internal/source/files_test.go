package source_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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

// object makes an object, whatever git thinks of it, and returns its ID as it is in
// trees.
func (o *origin) object(kind, text string) []byte {
	o.t.Helper()
	cmd := exec.Command("git", "-C", o.dir, "hash-object", "-t", kind, "-w", "--literally", "--stdin")
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.Output()
	if err != nil {
		o.t.Fatal(err)
	}
	id, err := hex.DecodeString(strings.TrimSpace(string(out)))
	if err != nil {
		o.t.Fatal(err)
	}
	return id
}

// push makes a commit the newest one, whatever git thinks of it.
func (o *origin) push(commit string) proto.Revision {
	o.t.Helper()
	writeFile(o.t, filepath.Join(o.dir, ".git", "refs", "heads", "main"), commit+"\n")
	revision, err := proto.ParseRevision(commit)
	if err != nil {
		o.t.Fatal(err)
	}
	return revision
}

// tree makes a tree by hand, and a commit of it, which is the newest.
func (o *origin) tree(entries string) proto.Revision {
	o.t.Helper()
	return o.push(o.git("commit-tree", "-m", "x", hex.EncodeToString(o.object("tree", entries))))
}

// TestACommitIsReadAsGitReadsIt: one more tree, or parent, after what git reads is
// shown to nobody, and changes nothing.
func TestACommitIsReadAsGitReadsIt(t *testing.T) {
	o := newOrigin(t)
	base := o.commit("flake.nix", "{ }")
	other := o.commit("hidden/flake.nix", "{ bad = true; }")
	const who = "x <x@example.org> 1700000000 +0000\n"
	text := "tree " + o.git("rev-parse", other.String()+"^{tree}") + "\nauthor " + who + "committer " + who
	more := "tree " + o.git("rev-parse", other.String()+":hidden") + "\nparent " + base.String() + "\n"
	revision := o.push(hex.EncodeToString(o.object("commit", text+more+"\nx\n")))
	r := newRepository(t, source.Options{URL: o.dir, Branch: "main", Policy: source.Policy{RefuseForcePush: true}})
	if files, _ := r.files(t, checkout(t, r, revision)); files != "flake.nix: { }\nhidden/flake.nix: { bad = true; }\n" {
		t.Errorf("Nix is given\n%s", files)
	}
	if _, err := r.Admit(t.Context(), base, revision); !errors.Is(err, source.ErrForcePushed) {
		t.Errorf("a push over %s: got error %v, want ErrForcePushed", base.Short(), err)
	}
	for what, text := range map[string]string{
		"no tree": "author " + who + "committer " + who, "no time": strings.Split(text, "committer")[0],
		"another time":           strings.ReplaceAll(text, "1700000000", "-1"),
		"a second tree":          strings.Replace(text, "\nauthor", "\ntree "+o.git("rev-parse", base.String()+"^{tree}")+"\nauthor", 1),
		"a parent of the author": strings.Replace(text, "\ncommitter", "\nparent "+base.String()+"\ncommitter", 1),
	} {
		revision := o.push(hex.EncodeToString(o.object("commit", text+"\nx\n")))
		r := newRepository(t, source.Options{URL: o.dir, Branch: "main"})
		if err := r.Fetch(t.Context(), revision); err != nil {
			continue // git does not take it either
		}
		if _, err := r.Checkout(t.Context(), revision); err == nil {
			t.Errorf("%s: Nix is given it", what)
		}
	}
}

// TestNobodyReadsWhatIsRefused: the git that was to go on at the checkout ends.
func TestNobodyReadsWhatIsRefused(t *testing.T) {
	o := newOrigin(t)
	o.commit("flake.nix", "{ }")
	base := o.commit("flake.nix", "{ a = 1; }")
	revision := o.push(o.git("commit-tree", "-m", "over", base.String()+"^{tree}"))
	dir := t.TempDir()
	r := newRepository(t, source.Options{URL: o.dir, Dir: dir, Branch: "main", Policy: source.Policy{RefuseForcePush: true}})
	reads := func() bool {
		lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
		return err == nil && slices.ContainsFunc(lines, func(file string) bool {
			line, _ := os.ReadFile(file) // it may have ended
			return bytes.Contains(line, []byte(dir)) && bytes.Contains(line, []byte("cat-file"))
		})
	}
	if err := r.Fetch(t.Context(), revision); err != nil || !reads() {
		t.Fatalf("nobody reads what was fetched: %v", err)
	}
	if _, err := r.Admit(t.Context(), base, revision); !errors.Is(err, source.ErrForcePushed) {
		t.Fatalf("got error %v, want ErrForcePushed", err)
	}
	if reads() {
		t.Error("a git waits to read what was refused")
	}
}

// TestModesOfOldGits are those of today.
func TestModesOfOldGits(t *testing.T) {
	o := newOrigin(t)
	flake := string(o.object("blob", "{ }"))
	sub := string(o.object("tree", "100600 a\x00"+flake+"100655 b\x00"+flake+"100775 run\x00"+flake))
	revision := o.tree("100664 flake.nix\x00" + flake + "040000 sub\x00" + sub)
	r := newRepository(t, source.Options{URL: o.dir, Branch: "main"})
	if files, _ := r.files(t, checkout(t, r, revision)); files != "flake.nix: { }\nsub/a: { }\nsub/b: { }\nsub/run*: { }\n" {
		t.Errorf("Nix is given\n%s", files)
	}
}

// TestTreesThatNoGitMakes are borrowed, and so are looked at by nobody else.
func TestTreesThatNoGitMakes(t *testing.T) {
	o := newOrigin(t)
	o.commit("flake.nix", "{ }")
	object := func(text string) string { return string(o.object("blob", text)) }
	raw := o.object("blob", "{ }\n")
	good := "100644 flake.nix\x00" + string(raw)
	for what, tt := range map[string]struct{ tree, want string }{
		"a parent":     {"100644 ..\x00" + string(raw), `".." cannot be the name`},
		"a path":       {"100644 a/b\x00" + string(raw), `"a/b" cannot be the name`},
		"no name":      {"100644 \x00" + string(raw), `"" cannot be the name`},
		"twice":        {good + good, "flake.nix: it is there twice"},
		"a device":     {"60000 disk\x00" + string(raw), "disk: it is of the kind 60000"},
		"no mode":      {"x flake.nix\x00" + string(raw), "it ends in the middle"},
		"a long link":  {good + "120000 link\x00" + object(strings.Repeat("a", 5000)), "link: a symbolic link cannot lead there"},
		"a cut link":   {good + "120000 link\x00" + object("a\x00b"), "link: a symbolic link cannot lead there"},
		"a short link": {good + "120000 link\x00" + object(""), "link: a symbolic link cannot lead there"},
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

// TestARevisionThatIsTooLarge is no tree; what its submodules have counts.
func TestARevisionThatIsTooLarge(t *testing.T) {
	dir := t.TempDir()
	o, lib := originIn(t, dir, "fleet"), originIn(t, dir, "lib")
	o.commit("flake.nix", "{ }")
	small := o.commit("z", strings.Repeat("z", 2000))
	large := o.submodule("lib", "../lib", lib.commit("text", strings.Repeat("x", 3000)))
	r := newRepository(t, source.Options{URL: o.dir, Branch: "main", Submodules: true, MaxBytes: 4000})
	checkout(t, r, small)
	if err := r.Fetch(t.Context(), large); err != nil {
		t.Fatal(err)
	}
	_, err := r.Checkout(t.Context(), large)
	if !errors.Is(err, source.ErrTooLarge) || !strings.Contains(err.Error(), large.String()) || !strings.Contains(err.Error(), "2000 bytes") || !strings.Contains(err.Error(), "all may have 4000") {
		t.Errorf("got error %v, want ErrTooLarge with the revision and how much it has", err)
	}
	if n := len(r.store.added); n != 1 {
		t.Errorf("%d trees are in the store, want the small one alone", n)
	}
	checkout(t, r, small) // and our copy is as it was
}
