package mounts

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	content := `36 35 98:0 / / rw,noatime shared:1 master:2 - ext4 /dev/root rw,errors=continue
40 36 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
41 36 0:31 / /a\040b rw - overlay overlay rw,lowerdir=/l
not a mount
`
	want := []Mount{
		{"/", "ext4", []string{"rw", "errors=continue"}},
		{"/sys/fs/cgroup/systemd", "cgroup", []string{"rw", "name=systemd"}},
		{"/a b", "overlay", []string{"rw", "lowerdir=/l"}},
	}
	if diff := cmp.Diff(want, parse(content)); diff != "" {
		t.Errorf("parse (-want +got):\n%s", diff)
	}
}
