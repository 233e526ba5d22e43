package source_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kedge/controller/internal/source"
	"kedge/internal/noflake"
	"kedge/proto"
)

// submodule commits a submodule, as .gitmodules would have it.
func (o *origin) submodule(path, at string, commit proto.Revision) proto.Revision {
	o.t.Helper()
	modules := filepath.Join(o.dir, ".gitmodules")
	had, err := os.ReadFile(modules)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		o.t.Fatal(err)
	}
	writeFile(o.t, modules, string(had)+fmt.Sprintf("[submodule %q]\n\tpath = %s\n\turl = %s\n\tupdate = !false\n", path, path, at))
	if err := os.MkdirAll(filepath.Join(o.dir, path), 0o755); err != nil { // or git takes it for deleted
		o.t.Fatal(err)
	}
	o.git("update-index", "--add", "--cacheinfo", "160000,"+commit.String()+","+path)
	return o.commit(".kept", path)
}

// originIn returns a repository in a directory, which one beside it can name.
func originIn(t *testing.T, dir, name string) *origin {
	t.Helper()
	dir = filepath.Join(dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return initOrigin(t, dir)
}

// TestSubmodules of submodules, beside the repository on this machine.
func TestSubmodules(t *testing.T) {
	dir := t.TempDir()
	o, lib, deep := originIn(t, dir, "fleet.git"), originIn(t, dir, "lib"), originIn(t, dir, "deep")
	pinned := deep.commit("text", "deep\n$Id$")
	deep.commit("text", "newer")
	lib.commit(".gitattributes", "* text eol=crlf ident export-ignore")
	libAt := lib.submodule("inner", "../deep", pinned)
	lib.commit("newer", "x")
	o.commit("nix/flake.nix", "{ }")
	revision := o.submodule("vendor/lib", "../lib", libAt)
	state := t.TempDir()
	options := source.Options{URL: o.dir, Branch: "main", Subdir: "nix", Submodules: true, Dir: state}
	r := newRepository(t, options)
	tree := checkout(t, r, revision)
	files, query := r.files(t, tree)
	if !strings.HasSuffix(files, "nix/flake.nix: { }\nvendor/lib/.gitattributes: * text eol=crlf ident export-ignore\n"+
		"vendor/lib/.gitmodules: [submodule \"inner\"]\n\tpath = inner\n\turl = ../deep\n\tupdate = !false\nvendor/lib/.kept: inner\nvendor/lib/inner/text: deep\n$Id$\n") {
		t.Errorf("Nix is given\n%s", files)
	}
	if tree.Revision != revision || query.Get("rev") != revision.String() || query.Get("dir") != "nix" || query.Get("lastModified") != o.git("log", "-1", "--format=%ct") {
		t.Errorf("Nix is told %v of %s", query, tree.Revision)
	}

	t.Run("are there when their repositories are not", func(t *testing.T) {
		if err := errors.Join(os.Rename(lib.dir, lib.dir+"-gone"), os.Rename(deep.dir, deep.dir+"-gone")); err != nil {
			t.Fatal(err)
		}
		if err := r.Tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
		newer := o.commit("nix/more", "x")
		again := newRepository(t, options)
		if _, query := again.files(t, checkout(t, again, newer)); query.Get("rev") != newer.String() {
			t.Errorf("Nix is told %v", query)
		}
		options := options
		options.Dir = t.TempDir()
		r := newRepository(t, options)
		if err := r.Fetch(t.Context(), newer); err != nil {
			t.Fatal(err)
		}
		_, err := r.Checkout(t.Context(), newer)
		if !errors.Is(err, source.ErrSubmodule) || !strings.Contains(err.Error(), "vendor/lib, revision "+libAt.Short()+" of "+lib.dir) || !strings.HasSuffix(err.Error(), "see .gitmodules") {
			t.Errorf("without a copy: got error %v, want ErrSubmodule with what is missing", err)
		}
		if err := errors.Join(os.Rename(lib.dir+"-gone", lib.dir), os.Rename(deep.dir+"-gone", deep.dir)); err != nil {
			t.Fatal(err)
		}
		if _, err = r.Checkout(t.Context(), newer); err != nil {
			t.Errorf("once they are back: %v", err)
		}
	})
	t.Run("of a copy that is damaged", func(t *testing.T) {
		tearPacks(t, filepath.Join(state, "modules"))
		checkout(t, newRepository(t, options), check(t, r))
	})
	t.Run("without a flake", func(t *testing.T) {
		options := options
		options.Subdir, options.Entry = "", noflake.Entry{File: "vendor/lib/inner/text"} // in a submodule
		r := newRepository(t, options)
		if files, _ := r.files(t, checkout(t, r, check(t, r))); !strings.HasSuffix(files, "\nsource/vendor/lib/inner/text: deep\n$Id$\n") {
			t.Errorf("Nix is given\n%s", files)
		}
	})
	t.Run("are left out unless they are asked for", func(t *testing.T) {
		options := options
		options.Submodules = false
		r := newRepository(t, options)
		if files, _ := r.files(t, checkout(t, r, check(t, r))); !strings.HasSuffix(files, "\nvendor/lib/\n") {
			t.Errorf("Nix is given\n%s", files)
		}
		if _, err := os.Stat(filepath.Join(state, "modules")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("they are there still: %v", err)
		}
	})
	t.Run("where there are none", func(t *testing.T) {
		o.git("rm", "--quiet", "-r", "--cached", "vendor")
		removeAll(t, filepath.Join(o.dir, "vendor"))
		r := newRepository(t, options)
		if files, _ := r.files(t, checkout(t, r, o.commit(".gitmodules", ""))); strings.Contains(files, "vendor/lib/") {
			t.Errorf("Nix is given\n%s", files)
		}
	})
}

// TestSubmodulesOfALongHistory, of which our copy has the end alone. One that cannot be
// had costs none of the others.
func TestSubmodulesOfALongHistory(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "fleet"), 0o755); err != nil {
		t.Fatal(err)
	}
	o := initOrigin(t, filepath.Join(dir, "fleet"), "--separate-git-dir="+filepath.Join(t.TempDir(), "elsewhere"))
	lib := originIn(t, dir, "lib")
	first := o.commit("flake.nix", "{ }")
	o.commits(60)
	state := t.TempDir()
	r := newRepository(t, source.Options{URL: "file://" + o.dir, Branch: "main", Submodules: true, Dir: state})
	o.submodule("itself", "../fleet", first)
	good := o.submodule("lib", "../lib", lib.commit("text", "lib"))
	if files, _ := r.files(t, checkout(t, r, good)); !strings.Contains(files, "itself/flake.nix: { }\nlib/text: lib\n") {
		t.Errorf("Nix is given\n%s", files)
	}
	if _, err := os.Stat(filepath.Join(state, "mirror", ".git", "shallow")); err != nil {
		t.Error("our copy has the whole history:", err)
	}

	missing := lib.commit("text", "newer")
	removeAll(t, lib.dir)
	revision := o.submodule("gone", "../gone", missing)
	if err := r.Fetch(t.Context(), revision); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Checkout(t.Context(), revision); !errors.Is(err, source.ErrSubmodule) || !strings.Contains(err.Error(), ": gone, ") {
		t.Errorf("got error %v, want ErrSubmodule for the one that is gone", err)
	}
	checkout(t, r, good)
}

// TestSubmodulesOverHTTPS: the token is for the server of the source, and nobody else.
func TestSubmodulesOverHTTPS(t *testing.T) {
	dir := t.TempDir()
	o, lib := originIn(t, dir, "fleet"), originIn(t, dir, "lib")
	theirs, ours := filepath.Join(t.TempDir(), "theirs"), filepath.Join(t.TempDir(), "ours")
	writeFile(t, theirs, "s3cret-one\n")
	writeFile(t, ours, "s3cret-one\n")
	server := gitServer(t, dir, theirs)
	o.commit("flake.nix", "{ }")
	at := lib.commit("text", "lib")
	options := source.Options{URL: server + "/fleet/.git", Branch: "main", Submodules: true, Credentials: source.Credentials{TokenFile: ours, User: "robot"}}
	for name, where := range map[string]string{"relative": "../../lib/.git", "absolute": server + "/lib/.git"} {
		o.git("rm", "--quiet", "--ignore-unmatch", "--cached", "lib")
		removeAll(t, filepath.Join(o.dir, ".gitmodules"))
		r := newRepository(t, options)
		files, _ := r.files(t, checkout(t, r, o.submodule("lib", where, at)))
		if !strings.Contains(files, "lib/text: lib\n") {
			t.Errorf("%s: Nix is given\n%s", name, files)
		}
	}

	shown := make(chan string, 100)
	other := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a := r.Header.Get("Authorization"); a != "" {
			shown <- a
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer other.Close()
	revision := o.submodule("stolen", other.URL+"/lib/.git", lib.commit("text", "newer"))
	r := newRepository(t, options)
	if err := r.Fetch(t.Context(), revision); err != nil {
		t.Fatal(err)
	}
	_, err := r.Checkout(t.Context(), revision)
	if !errors.Is(err, source.ErrSubmodule) || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "it must be public") || strings.Contains(err.Error(), "see token_file") {
		t.Errorf("of another server: got error %v, want ErrSubmodule without the token, and what to do", err)
	}
	if len(shown) > 0 {
		t.Errorf("the other server was shown %q", <-shown)
	}
}

// TestSubmodulesOverSSH has an ssh that runs the command here, and says how it was
// called: the key is for the server of the source, and nobody else.
func TestSubmodulesOverSSH(t *testing.T) {
	dir, bin := t.TempDir(), t.TempDir()
	o, lib := originIn(t, dir, "fleet"), originIn(t, dir, "lib")
	calls, key, hosts := filepath.Join(bin, "calls"), filepath.Join(bin, "key"), filepath.Join(bin, "hosts")
	writeFile(t, filepath.Join(bin, "ssh"), "#!/bin/sh\necho \"$@\" >>"+calls+"\nfor last; do :; done\nexec sh -c \"$last\"\n")
	if err := os.Chmod(filepath.Join(bin, "ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, key, "PRIVATE")
	writeFile(t, hosts, "")
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	o.commit("flake.nix", "{ }")
	at := lib.commit("text", "lib")
	o.submodule("relative", "../lib", at)
	other := lib.commit("text", "other")
	revision := o.submodule("other", "ssh://git@other.example"+lib.dir, other)
	r := newRepository(t, source.Options{
		URL: "git@forge.example:" + o.dir, Branch: "main", Submodules: true,
		Credentials: source.Credentials{SSHKeyFile: key, KnownHostsFile: hosts},
	})
	files, _ := r.files(t, checkout(t, r, revision))
	if !strings.Contains(files, "relative/text: lib\n") || !strings.Contains(files, "other/text: other\n") {
		t.Errorf("Nix is given\n%s", files)
	}
	said, err := os.ReadFile(calls)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(said)) {
		ours := strings.Contains(line, "git@forge.example")
		if strings.Contains(line, key) != ours || !strings.Contains(line, "-oStrictHostKeyChecking=yes") || !strings.Contains(line, hosts) {
			t.Errorf("ssh was called with %q, want the key for our server alone, and known hosts for both", line)
		}
	}
}

// TestSubmodulesThatLeadAstray: nothing of them is run, or read.
func TestSubmodulesThatLeadAstray(t *testing.T) {
	dir := t.TempDir()
	secret := originIn(t, t.TempDir(), "secret")
	at := secret.commit("text", "s3cret")
	ran := filepath.Join(dir, "ran")
	for name, where := range map[string]string{
		"a program":               "ext::sh -c 'touch " + ran + "'",
		"an option":               "--upload-pack=touch " + ran,
		"a file":                  "file://" + secret.dir,
		"a path":                  secret.dir,
		"a path that climbs":      "../../" + strings.TrimPrefix(secret.dir, "/"),
		"a server without a lock": "http://127.0.0.1:1/x",
		"nowhere":                 "",
	} {
		o := newRemoteOrigin(t)
		o.commit("flake.nix", "{ }")
		revision := o.submodule("lib", where, at)
		r := newRepository(t, source.Options{URL: o.dir, Branch: "main", Submodules: true})
		if err := r.Fetch(t.Context(), revision); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Checkout(t.Context(), revision); !errors.Is(err, source.ErrSubmodule) || !strings.Contains(err.Error(), "lib: .gitmodules: url: ") {
			t.Errorf("%s: got error %v, want ErrSubmodule, and why", name, err)
		}
	}
	if _, err := os.Stat(ran); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a program was run: %v", err)
	}
}

// TestGitmodulesIncludesNothing of this machine.
func TestGitmodulesIncludesNothing(t *testing.T) {
	dir := t.TempDir()
	o, lib := originIn(t, dir, "fleet"), originIn(t, dir, "lib")
	included := filepath.Join(t.TempDir(), "config")
	writeFile(t, included, "[submodule \"lib\"]\n\tpath = lib\n\turl = ../lib\n")
	o.commit("flake.nix", "{ }")
	o.submodule("lib", "", lib.commit("text", "lib"))
	revision := o.commit(".gitmodules", "[include]\n\tpath = "+included+"\n")
	r := newRepository(t, source.Options{URL: o.dir, Branch: "main", Submodules: true})
	if err := r.Fetch(t.Context(), revision); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Checkout(t.Context(), revision); !errors.Is(err, source.ErrSubmodule) || !strings.Contains(err.Error(), "url: there is none") {
		t.Errorf("got error %v, want ErrSubmodule for want of a URL", err)
	}
}

// TestADamagedGitmodules is not taken for one that names no submodule.
func TestADamagedGitmodules(t *testing.T) {
	o := newRemoteOrigin(t)
	o.commit("flake.nix", "{ }")
	o.submodule("lib", "../lib", o.commit("x", "x"))
	revision := o.commit(".gitmodules", "[submodule \"lib\"]\n\tpath = lib\n[submodule\n")
	r := newRepository(t, source.Options{URL: o.dir, Branch: "main", Submodules: true})
	if err := r.Fetch(t.Context(), revision); err != nil {
		t.Fatal(err)
	}
	_, err := r.Checkout(t.Context(), revision)
	if !errors.Is(err, source.ErrSubmodule) || !strings.Contains(err.Error(), ".gitmodules of revision "+revision.Short()) || !strings.Contains(err.Error(), "bad config line 3") {
		t.Errorf("got error %v, want ErrSubmodule with the revision and the line", err)
	}
	o.git("rm", "--quiet", "--force", ".gitmodules")
	revision = o.commit("x", "y")
	if err := r.Fetch(t.Context(), revision); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Checkout(t.Context(), revision); !errors.Is(err, source.ErrSubmodule) || !strings.Contains(err.Error(), "lib: .gitmodules: url: there is none") {
		t.Errorf("without .gitmodules: got error %v, want ErrSubmodule for want of a URL", err)
	}
}

// TestATreeWithoutEnd is of few objects, and has more files than are listed.
func TestATreeWithoutEnd(t *testing.T) {
	o := newRemoteOrigin(t)
	o.commit("flake.nix", "{ }")
	tree := o.git("rev-parse", "HEAD^{tree}")
	for range 6 {
		var entries strings.Builder
		for i := range 10 {
			fmt.Fprintf(&entries, "040000 tree %s\tdirectory-%d\n", tree, i)
		}
		cmd := exec.Command("git", "-C", o.dir, "mktree")
		cmd.Stdin = strings.NewReader(entries.String())
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		tree = strings.TrimSpace(string(out))
	}
	o.git("update-ref", "refs/heads/main", o.git("commit-tree", "-m", "x", tree))
	r := newRepository(t, source.Options{URL: o.dir, Branch: "main", Submodules: true})
	revision := check(t, r)
	if err := r.Fetch(t.Context(), revision); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Checkout(t.Context(), revision); err == nil || !strings.Contains(err.Error(), "more than 1048576 files") {
		t.Errorf("got error %v, want that there are too many", err)
	}
}

// TestTooManySubmodules are not followed without end.
func TestTooManySubmodules(t *testing.T) {
	dir := t.TempDir()
	o, lib := originIn(t, dir, "fleet"), originIn(t, dir, "lib")
	at := lib.commit("text", "lib")
	for i := range 101 {
		name := fmt.Sprintf("lib%d", i)
		if err := os.MkdirAll(filepath.Join(o.dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		o.git("update-index", "--add", "--cacheinfo", "160000,"+at.String()+","+name)
		o.git("config", "--file", ".gitmodules", "submodule."+name+".path", name)
		o.git("config", "--file", ".gitmodules", "submodule."+name+".url", "../lib")
	}
	revision := o.commit("flake.nix", "{ }")
	r := newRepository(t, source.Options{URL: o.dir, Branch: "main", Submodules: true})
	if err := r.Fetch(t.Context(), revision); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Checkout(t.Context(), revision); !errors.Is(err, source.ErrSubmodule) || !strings.Contains(err.Error(), "more than 100") {
		t.Errorf("got error %v, want ErrSubmodule for their number", err)
	}
}
