package stc

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFileSystems(t *testing.T) {
	dir := write(t, map[string]string{
		"old": "# a comment\n/dev/a / ext4 rw 0 1\n/dev/b /data ext4 rw\n/dev/c /gone xfs\n/dev/d /auto xfs x-systemd.automount\n" +
			"/dev/e /same xfs rw\n/dev/f /opts xfs rw\n/dev/s none swap sw\nbroken\n",
		"new": "/dev/other / ext4 rw 0 1\n/dev/other /data ext4 rw\n/dev/e /same xfs rw\n/dev/f /opts xfs ro\n/dev/n /new xfs\n",
	})
	p := newPlan(lists{dir: t.TempDir()})
	p.fileSystems(readFstab(filepath.Join(dir, "old")), readFstab(filepath.Join(dir, "new")))
	got := map[string][]string{"stop": names(p.stop), "restart": names(p.restart), "reload": names(p.reload), "skip": names(p.skip)}
	want := map[string][]string{
		"stop":    {"auto.automount", "gone.mount"},
		"restart": {"data.mount"},
		"reload":  {"opts.mount"},
		"skip":    {"-.mount"}, // the root is never unmounted
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}
