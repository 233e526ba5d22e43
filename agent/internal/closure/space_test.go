package closure

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"kedge/agent/internal/bootdir"
)

func TestSpaces(t *testing.T) {
	root, store, boot := Volume{ID: 1}, Volume{ID: 2, Free: 3, Size: 4, Inodes: 5, Files: 6}, Volume{ID: 3, Free: 7, Size: 8}
	for _, tt := range []struct {
		name string
		host volumes
		want []Space
	}{
		{"a boot partition", volumes{"/": root, storeDir: store, bootdir.Default: boot}, []Space{
			{SpaceStore, storeDir, store}, {SpaceBoot, bootdir.Default, boot},
		}},
		{"kernels on the root file system", volumes{"/": root, storeDir: store, bootdir.Default: root}, []Space{{SpaceStore, storeDir, store}}},
		{"a container, which does not boot", volumes{"/": root, storeDir: root}, []Space{{SpaceStore, storeDir, root}}},
		{"a store that cannot be asked", volumes{"/": root, storeDir: error(unix.EIO), bootdir.Default: boot}, []Space{{SpaceBoot, bootdir.Default, boot}}},
	} {
		dir := t.TempDir()
		if diff := cmp.Diff(tt.want, Spaces{Root: dir, Volume: tt.host.in(dir)}.Look()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	for _, s := range (Spaces{}).Look() { // of this machine
		if s.Size == 0 || s.Free > s.Size {
			t.Errorf("%s has %d of %d bytes free", s.Dir, s.Free, s.Size)
		}
	}
}
