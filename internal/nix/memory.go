package nix

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// memory bounds what a process, and each of its children, may use, in MiB; zero
// means nothing bounds it.
type memory struct {
	heap int // of what the evaluator allocates: it collects garbage before it fails
	data int // of all that is written to: the kernel gives no more
}

const mebibyte = 1 << 20

// environ returns what tells the evaluator its bound.
func (m memory) environ() []string {
	if m.heap == 0 {
		return nil
	}
	return []string{"GC_MAXIMUM_HEAP_SIZE=" + strconv.Itoa(m.heap*mebibyte)}
}

// limit bounds a process of our user that has just been started. It has used next to
// nothing by now, and what it starts later inherits the bound.
func (m memory) limit(pid int) error {
	if m.data == 0 {
		return nil
	}
	bound := uint64(m.data) * mebibyte //nolint:gosec // checked to be positive where it was configured
	err := unix.Prlimit(pid, unix.RLIMIT_DATA, &unix.Rlimit{Cur: bound, Max: bound}, nil)
	if err != nil && err != unix.ESRCH { // it may have ended already
		return fmt.Errorf("bound its memory: %w", err)
	}
	return nil
}

// limited returns a command that bounds itself: that of another user only who has
// CAP_SYS_RESOURCE may bound from outside.
func (m memory) limited(argv []string) []string {
	if m.data == 0 {
		return argv
	}
	return append([]string{"/bin/sh", "-c", `ulimit -d "$0" && exec "$@"`, strconv.Itoa(m.data * mebibyte >> 10)}, argv...)
}
