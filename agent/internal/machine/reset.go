package machine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// syncTimeout is how long the disks may take for what was written before a reset: one
// that does not answer must not keep the host as it is.
const syncTimeout = 30 * time.Second

// errNoRestart says that a Machine was made without a way to reset the host.
var errNoRestart = errors.New("there is no way to reset this host")

// Reset implements [transaction.Host].
func (m *Machine) Reset(ctx context.Context) error {
	if m.restart == nil {
		return errNoRestart
	}
	patience, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	synced := make(chan struct{})
	go func() {
		unix.Sync()
		close(synced)
	}()
	select {
	case <-synced:
	case <-patience.Done():
		m.log.WarnContext(ctx, "not everything is on the disks that was written", "err", patience.Err())
	}
	if ctx.Err() != nil { // whoever stops this answers again, and may be shutting the host down
		return context.Cause(ctx)
	}
	return m.restart()
}

// Restart has the kernel boot the host, as the power switch does. In a container that ends
// the container alone.
func Restart() error {
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART); err != nil {
		return fmt.Errorf("have the kernel restart the host: %w", err)
	}
	return nil
}
