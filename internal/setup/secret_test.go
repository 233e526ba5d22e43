package setup

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestKeepSecrets(t *testing.T) {
	t.Cleanup(func() {
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0); err != nil {
			t.Error(err)
		}
	})
	if err := KeepSecrets(); err != nil {
		t.Fatal(err)
	}
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err != nil || dumpable != 0 {
		t.Errorf("dumpable = %d, %v; want 0", dumpable, err)
	}
}
