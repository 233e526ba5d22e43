package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// bootIDFile is the kernel's.
const bootIDFile = "/proc/sys/kernel/random/boot_id"

// BootID returns the identity of the running boot: another one after every
// boot. root is the directory that /proc is looked for in; empty is /.
func BootID(root string) (string, error) {
	b, err := os.ReadFile(filepath.Join(root, bootIDFile))
	if err != nil {
		return "", fmt.Errorf("read boot id: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// uptime returns how long this boot is up, sleep included.
func uptime() (time.Duration, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0, fmt.Errorf("read the time since the boot: %w", err)
	}
	return time.Duration(now.Nano()), nil
}
