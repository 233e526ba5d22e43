package setup

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// KeepSecrets keeps what this process holds in memory from core dumps, also those
// of a collector that asks for no limit, and from debuggers of its own user.
func KeepSecrets() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("forbid core dumps: %w", err)
	}
	return nil
}
