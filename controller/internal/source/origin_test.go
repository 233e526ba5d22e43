package source_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kedge/controller/internal/source"
	"kedge/proto"
)

// An origin is a repository that people push to.
type origin struct {
	t   *testing.T
	dir string
}

// newOrigin returns a repository whose objects can be borrowed.
func newOrigin(t *testing.T) *origin {
	t.Helper()
	return initOrigin(t, t.TempDir())
}

// newRemoteOrigin returns a repository that must be fetched from: its objects are
// not where they mostly are.
func newRemoteOrigin(t *testing.T) *origin {
	t.Helper()
	return initOrigin(t, t.TempDir(), "--separate-git-dir="+filepath.Join(t.TempDir(), "elsewhere"))
}

func initOrigin(t *testing.T, dir string, flags ...string) *origin {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("git is not on PATH")
		}
		t.Skip("git is not on PATH; it is in the dev shell")
	}
	o := &origin{t, dir}
	o.git(append([]string{"init", "--quiet", "--initial-branch=main"}, flags...)...)
	return o
}

func (o *origin) git(args ...string) string {
	o.t.Helper()
	cmd := exec.Command("git", append([]string{"-C", o.dir, "-c", "user.name=x", "-c", "user.email=x@example.org"}, args...)...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GIT_DIR=") })
	cmd.Env = append(cmd.Env, "GIT_CONFIG_GLOBAL=/dev/null")
	out, err := cmd.CombinedOutput()
	if err != nil {
		o.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit commits a file and returns the new revision.
func (o *origin) commit(name, content string) proto.Revision {
	o.t.Helper()
	file := filepath.Join(o.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o644)); err != nil {
		o.t.Fatal(err)
	}
	o.git("add", "--all")
	o.git("commit", "--quiet", "--allow-empty", "--message=x")
	revision, err := proto.ParseRevision(o.git("rev-parse", "HEAD"))
	if err != nil {
		o.t.Fatal(err)
	}
	return revision
}

// commits makes many of them at once, which change nothing.
func (o *origin) commits(n int) {
	o.t.Helper()
	var stream strings.Builder
	for i := range n {
		fmt.Fprintf(&stream, "commit refs/heads/main\ncommitter x <x@example.org> %d +0000\ndata 1\nx\n", i)
		if i == 0 {
			stream.WriteString("from refs/heads/main^0\n")
		}
	}
	cmd := exec.Command("git", "-C", o.dir, "fast-import", "--quiet")
	cmd.Stdin = strings.NewReader(stream.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		o.t.Fatalf("git fast-import: %v\n%s", err, out)
	}
}

func newRepository(t *testing.T, o source.Options) repository {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	kept := &store{map[proto.StorePath]string{}, map[string]proto.StorePath{}}
	if o.Store == nil {
		o.Store, o.Root = kept, "/root/"+t.Name()
	}
	r, err := source.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return repository{r, kept}
}

func check(t *testing.T, r repository) proto.Revision {
	t.Helper()
	revision, err := r.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func checkout(t *testing.T, r repository, revision proto.Revision) source.Tree {
	t.Helper()
	if err := r.Fetch(t.Context(), revision); err != nil {
		t.Fatal(err)
	}
	tree, err := r.Checkout(t.Context(), revision)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func truncate(t *testing.T, path string) {
	t.Helper()
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
}

func removeAll(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func tearPacks(t *testing.T, dir string) {
	packs, err := filepath.Glob(filepath.Join(dir, ".git", "objects", "pack", "*"))
	if err != nil || len(packs) == 0 {
		t.Fatalf("no packs in %s: %v", dir, err)
	}
	for _, p := range packs {
		if err := os.Chmod(p, 0o644); err != nil {
			t.Fatal(err)
		}
		truncate(t, p)
	}
}
