package proto_test

import (
	"testing"

	"kedge/proto"
)

func TestChangesInALine(t *testing.T) {
	for want, c := range map[string]proto.Changes{
		"1 upgraded, 1 removed, 60 changed, +3.0 MiB; with a reboot: kernel, initrd": {
			Size: 3 << 20, Upgraded: 1, Removed: 1, Changed: 60, Boot: []string{"kernel", "initrd"},
		},
		"1 downgraded, 2 added, -1.5 GiB": {Size: -3 << 29, Added: 2, Downgraded: 1},
		"no package, +0.0 KiB":            {},
	} {
		if got := c.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
