package closure

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kedge/proto"
)

func TestStageSweepsWhatACrashLeft(t *testing.T) {
	p, err := proto.ParseStorePath("/nix/store/11111111111111111111111111111111-nixos-system-new")
	if err != nil {
		t.Fatal(err)
	}
	r := Roots{Dir: t.TempDir()}
	if err := r.Prove(p); err != nil {
		t.Fatal(err)
	}
	long := unix.NsecToTimespec(time.Now().Add(-2 * sweepAfter).UnixNano())
	for name, old := range map[string]bool{".current.tmp-1": true, ".proven.tmp-2": false, "proven": true, "somebody's": true} {
		path := filepath.Join(r.Dir, name)
		if name != rootProven {
			if err := os.Symlink(p.String(), path); err != nil {
				t.Fatal(err)
			}
		}
		if old {
			if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{long, long}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := r.Stage(p); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(r.Dir)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if want := []string{".proven.tmp-2", rootProven, "somebody's", rootStaged}; !slices.Equal(left, want) {
		t.Errorf("left are %q, want %q", left, want)
	}
}
