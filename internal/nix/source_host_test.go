//go:build host

package nix

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kedge/proto"
)

// within returns a directory that everybody can look into.
func within(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// TestRealSource is the one that Nix makes of the same files, with a daemon and without.
func TestRealSource(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "source")
	text := time.Now().String() // so that it is not there
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "sub.txt"), text, 0o644)
	write(t, filepath.Join(dir, "sub", "run"), "#!/bin/sh\n", 0o755)
	if err := os.Symlink("sub/run", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	tree := func() *File {
		link, run := Text("sub/run"), Text("#!/bin/sh\n")
		link.Symlink, run.Executable = true, true
		return &File{Entries: map[string]*File{"sub.txt": Text(text), "sub": {Entries: map[string]*File{"run": run}}, "link": link}}
	}
	daemon := startDaemon(t, "")
	for name, c := range map[string]*CLI{"nobody listens": {Socket: filepath.Join(t.TempDir(), "none")}, "a daemon": {Socket: daemon.Socket}} {
		root := filepath.Join(t.TempDir(), "roots", "main")
		path, err := c.AddSource(t.Context(), root, tree())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if named, err := os.Readlink(root); err != nil || named != path.String() {
			t.Errorf("%s: the root names %q, %v; want %s", name, named, err, path.String())
		}
		if want := strings.TrimSpace(output(t, c, "nix-store", "--add-fixed", "--recursive", "sha256", dir)); path.String() != want {
			t.Errorf("%s: got %v, want %s", name, path, want)
		}
		if again, err := c.AddSource(t.Context(), root, tree()); err != nil || again != path {
			t.Errorf("%s: once more: %s, %v", name, again, err)
		}
	}
}

// TestRealEvaluator reads what it can, and not what this process can.
func TestRealEvaluator(t *testing.T) {
	daemon, home, secret := startDaemon(t, ""), within(t), filepath.Join(within(t), "secret")
	if err := os.Chmod(filepath.Dir(filepath.Dir(daemon.Socket)), 0o755); err != nil {
		t.Fatal(err)
	}
	const uid, gid = 65534, 65534
	if err := os.Chown(home, uid, gid); err != nil {
		t.Fatal(err)
	}
	write(t, secret, "s3cret", 0o600)
	root := &CLI{Socket: daemon.Socket}
	other := &CLI{Socket: daemon.Socket, Evaluator: &User{uid: uid, gid: gid, home: home}}
	source := func(flake string) string {
		path, err := root.AddSource(t.Context(), filepath.Join(t.TempDir(), "root"), &File{Entries: map[string]*File{"flake.nix": Text(flake)}})
		if err != nil {
			t.Fatal(err)
		}
		return "path:" + path.String() + "?rev=0123456789012345678901234567890123456789" // not when it was made, which Nix 2.8 does not take
	}
	eval := func(c *CLI, flake string) (text string, err error) {
		out, err := c.Eval(t.Context(), EvalOptions{Installable: source(flake) + "#text", Memory: 2048})
		if err == nil {
			err = json.Unmarshal(out, &text)
		}
		return text, err
	}
	steal := `{ inputs.k = { url = "path:` + secret + `"; flake = false; }; outputs = { self, k }: { text = builtins.readFile k; }; }`
	if text, err := eval(root, steal); err != nil || text != "s3cret" {
		t.Fatalf("as root: %q, %v; want the secret, or this shows nothing", text, err)
	}
	if text, err := eval(other, steal); err == nil || !strings.Contains(err.Error(), "ermission denied") {
		t.Errorf("as another user: %q, %v; want that it is denied", text, err)
	}
	text, err := eval(other, `{ outputs = { self }: { text = "${self.rev} ${(derivation { name = "x"; system = "x"; builder = "${./flake.nix}"; }).drvPath}"; }; }`)
	rev, drv, _ := strings.Cut(text, " ")
	if _, parsed := proto.ParseStorePath(drv); err != nil || parsed != nil || !strings.HasPrefix(rev, "01234567") {
		t.Errorf("of a good flake: %q, %v", text, err)
	}
	if _, err := os.Stat(drv); err != nil {
		t.Error("the derivation is not there:", err)
	}
}

// TestRealSourceThatCannotBeAdded says why, with a daemon and without.
func TestRealSourceThatCannotBeAdded(t *testing.T) {
	gone := errors.New("the file is gone")
	tree := func() *File {
		return &File{Entries: map[string]*File{"a": {Open: func() (io.ReadCloser, int64, error) { return nil, 0, gone }}}}
	}
	for name, socket := range map[string]string{"nobody listens": filepath.Join(t.TempDir(), "none"), "a daemon": startDaemon(t, "").Socket} {
		c := &CLI{Socket: socket}
		if _, err := c.AddSource(t.Context(), filepath.Join(t.TempDir(), "root"), tree()); !errors.Is(err, gone) {
			t.Errorf("%s: a file that cannot be read: %v", name, err)
		}
	}
	c := &CLI{Socket: filepath.Join(t.TempDir(), "none"), Environ: append(os.Environ(), "NIX_STATE_DIR=/proc/none")}
	if _, err := c.AddSource(t.Context(), filepath.Join(t.TempDir(), "root"), Text("x")); err == nil || !strings.Contains(err.Error(), "/proc/none") {
		t.Errorf("a state directory that cannot be: %v", err)
	}
}
