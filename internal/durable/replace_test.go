package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var errCrash = errors.New("crash")

// crashAt returns a disk whose n-th step crashes, after its effect if applied
// is set, and after which nothing happens any more. steps lists what was
// attempted.
func crashAt(n int, applied bool, steps *[]string) disk {
	return disk{fault: func(step string, effect func() error) error {
		i := len(*steps)
		*steps = append(*steps, step)
		switch {
		case i < n:
			return effect()
		case i == n && applied:
			return errors.Join(effect(), errCrash)
		default:
			return errCrash
		}
	}}
}

// crashes calls test with a disk that crashes at the first step, at the second
// and so on, before and after its effect, until test reports no crash.
func crashes(t *testing.T, test func(t *testing.T, d disk, steps *[]string) error) {
	t.Helper()
	for _, applied := range []bool{false, true} {
		for n := 0; ; n++ {
			var steps []string
			err := test(t, crashAt(n, applied, &steps), &steps)
			if err == nil {
				break
			}
			if !errors.Is(err, errCrash) {
				t.Fatalf("crash at step %d %v: %v", n, steps, err)
			}
		}
	}
}

func TestWriteFileHasOldOrNewContentAfterACrashAtEveryStep(t *testing.T) {
	crashes(t, func(t *testing.T, d disk, steps *[]string) error {
		path := filepath.Join(t.TempDir(), "state")
		if err := WriteFile(path, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		err := d.writeFile(path, []byte("new"), 0o600)
		want := []string{"old", "new"} // a crash in rename: either
		switch {
		case !slices.Contains(*steps, "rename"):
			want = []string{"old"}
		case err == nil, slices.Contains(*steps, "sync directory"):
			want = []string{"new"}
		}
		if got := readFile(t, path); !slices.Contains(want, got) {
			t.Errorf("after %v (%v): got %q, want one of %q", *steps, err, got, want)
		}
		return err
	})
}

func TestWriteFileSyncsContentBeforeTheNameAndTheNameBeforeReturning(t *testing.T) {
	var got []string
	d := crashAt(100, false, &got)
	if err := d.writeFile(filepath.Join(t.TempDir(), "state"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := []string{"create", "write", "chmod", "sync", "rename", "sync directory"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

func TestWriteFileLeavesNothingBehindWhenAStepFails(t *testing.T) {
	for _, failing := range []string{"create", "write", "chmod", "sync", "rename"} {
		t.Run(failing, func(t *testing.T) {
			dir := t.TempDir()
			d := disk{fault: func(step string, effect func() error) error {
				if step == failing {
					return errCrash
				}
				return effect()
			}}
			err := d.writeFile(filepath.Join(dir, "state"), []byte("x"), 0o600)
			if !errors.Is(err, errCrash) {
				t.Errorf("error: got %v, want %v", err, errCrash)
			}
			if names := dirNames(t, dir); len(names) > 0 {
				t.Errorf("left behind: %v", names)
			}
		})
	}
}

func TestWriteFileSetsPermissionsWhateverTheyWere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	for _, perm := range []fs.FileMode{0o600, 0o666, 0o400, 0o644} {
		if err := WriteFile(path, []byte("x"), perm); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != perm {
			t.Errorf("permissions: got %v, want %v", got, perm)
		}
	}
}

func TestWriteFileNamesTheFileInItsErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "state")
	err := WriteFile(path, nil, 0o600)
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "write "+path+": ") {
		t.Errorf("got %v", err)
	}
}

func TestSymlinkPointsToOldOrNewTargetAfterACrashAtEveryStep(t *testing.T) {
	crashes(t, func(t *testing.T, d disk, steps *[]string) error {
		path := filepath.Join(t.TempDir(), "current")
		if err := Symlink("old", path); err != nil {
			t.Fatal(err)
		}
		err := d.symlink("new", path)
		got, rerr := os.Readlink(path)
		if rerr != nil {
			t.Fatal(rerr)
		}
		if got != "new" && (got != "old" || err == nil) {
			t.Errorf("after %v (%v): link to %q", *steps, err, got)
		}
		return err
	})
}

func TestSymlinkSyncsALinkThatIsRightAndMakesNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "current")
	if err := Symlink("target", path); err != nil {
		t.Fatal(err)
	}
	var got []string
	d := crashAt(100, false, &got)
	if err := d.symlink("target", path); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"sync directory"}, got); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

func TestSymlinkDoesNotReplaceADirectory(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "directory")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Symlink("target", path); err == nil {
		t.Error("no error")
	}
	if diff := cmp.Diff([]string{"directory"}, dirNames(t, dir)); diff != "" {
		t.Errorf("directory (-want +got):\n%s", diff)
	}
}

func TestRemove(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	if err := WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, path, filepath.Join(dir, "missing", "state")} {
		if err := Remove(p); err != nil {
			t.Errorf("remove %s: %v", p, err)
		}
	}
	if names := dirNames(t, dir); len(names) > 0 {
		t.Errorf("left behind: %v", names)
	}
}

func TestRemoveSyncsTheDirectoryEvenIfTheFileIsGone(t *testing.T) {
	var got []string
	d := crashAt(100, false, &got)
	if err := d.remove(filepath.Join(t.TempDir(), "state")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"remove", "sync directory"}, got); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

func TestMkdirAllSyncsEveryParentOfANewDirectory(t *testing.T) {
	var got []string
	d := crashAt(100, false, &got)
	path := filepath.Join(t.TempDir(), "a", "b")
	for range 2 {
		if err := d.mkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"mkdir", "sync directory", "mkdir", "sync directory"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

func TestMkdirAllRefusesAFileInTheWay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	if err := WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := MkdirAll(path, 0o700); err == nil {
		t.Error("no error")
	}
	if err := MkdirAll(filepath.Join(path, "below"), 0o700); err == nil {
		t.Error("no error below a file")
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func dirNames(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestLeftover(t *testing.T) {
	for name, want := range map[string]string{
		filepath.Base(tempName("/a/b.json")): "b.json",
		".system-7-link.tmp-X":               "system-7-link",
		"b.json":                             "",
		".hidden":                            "",
		"b.tmp-X":                            "",
	} {
		if of, ok := Leftover(name); ok != (want != "") || ok && of != want {
			t.Errorf("%s: %q, %v; want %q", name, of, ok, want)
		}
	}
}
