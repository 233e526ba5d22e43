package tree_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"kedge/e2e/toplevel/tree"
)

// TestMake looks at everything a tree can ask for.
func TestMake(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bin := filepath.Join(dir, "package", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"one", "two"} {
		if err := os.WriteFile(filepath.Join(bin, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	asked, err := tree.Parse([]byte(`{
		"folders": ["specialisation"],
		"files": {"kernel-params": "loglevel=4", "etc/a/b.conf": "B"},
		"programs": {"bin/switch": "#!/bin/sh\n"},
		"links": {"etc/a/c": "b.conf"},
		"linkAll": {"sw/bin": ["` + bin + `"]},
		"waits": "` + dir + `/no-fifo"
	}`))
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	if err := asked.Make(out); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"bin":            "folder",
		"bin/switch":     "program #!/bin/sh\n",
		"etc":            "folder",
		"etc/a":          "folder",
		"etc/a/b.conf":   "file B",
		"etc/a/c":        "link b.conf",
		"kernel-params":  "file loglevel=4",
		"specialisation": "folder",
		"sw":             "folder",
		"sw/bin":         "folder",
		"sw/bin/one":     "link " + bin + "/one",
		"sw/bin/two":     "link " + bin + "/two",
	}
	if diff := cmp.Diff(want, list(t, out)); diff != "" {
		t.Errorf("what there is (-want +got):\n%s", diff)
	}
	if err := asked.Make(out); err == nil {
		t.Error("made again where it is already")
	}
}

// list describes everything below a folder.
func list(t *testing.T, folder string) map[string]string {
	t.Helper()
	is := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		name, relErr := filepath.Rel(folder, path)
		if err != nil || relErr != nil || name == "." {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			is[name] = "folder"
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			is[name] = "link " + target
			return err
		default:
			text, err := os.ReadFile(path)
			kind := "file "
			if info.Mode().Perm()&0o111 != 0 {
				kind = "program "
			}
			is[name] = kind + string(text)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return is
}

// TestMakeSaysEverythingThatIsWrong: a package without a folder bin, and a file where a folder is needed.
func TestMakeSaysEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	err := tree.Tree{
		Files:   map[string]string{"sw": "no folder"},
		Links:   map[string]string{"sw/bin/sh": "/bin/sh"},
		LinkAll: map[string][]string{"bin": {filepath.Join(dir, "none")}},
	}.Make(filepath.Join(dir, "out"))
	for _, want := range []string{"out/sw", "none"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want one that names %s", err, want)
		}
	}
}

// TestFails: what is asked to fail says what it was told to, and makes nothing.
func TestFails(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "out")
	if err := (tree.Tree{Fails: "it's broken"}).Make(out); err == nil || err.Error() != "it's broken" {
		t.Errorf("%v, want what was asked for", err)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("something was made")
	}
}

// TestWaits: nothing is made before the FIFO has been written to.
func TestWaits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fifo, out := filepath.Join(dir, "fifo"), filepath.Join(dir, "out")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	made := make(chan error, 1)
	go func() { made <- tree.Tree{Waits: fifo}.Make(out) }()
	f, err := os.OpenFile(fifo, os.O_WRONLY, 0) // it is read now
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("it was made without waiting")
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-made; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(out); err != nil {
		t.Error(err)
	}
}

// TestParse refuses what is no tree.
func TestParse(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "[]", `{"files": ["a"]}`, `{"flies": {}}`} {
		if _, err := tree.Parse([]byte(text)); err == nil {
			t.Errorf("%q was taken for a tree", text)
		}
	}
}
