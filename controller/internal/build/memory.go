package build

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	mebibyte = 1 << 20
	// cgroupRoot is where control groups are, of the second version.
	cgroupRoot = "/sys/fs/cgroup"
	// ownCgroup names the control group of this process.
	ownCgroup = "/proc/self/cgroup"
)

// workers is how many evaluations that use so many MiB each may run at once where there
// are room bytes.
func workers(room uint64, memory int) int {
	return max(min(runtime.NumCPU(), int(room/mebibyte/uint64(memory))), 1) //nolint:gosec // positive, and small
}

// memoryOf returns how many bytes of memory this process and its children may use: what
// the machine has, or less if its service may use less. It is zero if nobody knows.
func memoryOf(root string) uint64 {
	var machine unix.Sysinfo_t
	if err := unix.Sysinfo(&machine); err != nil {
		return 0
	}
	room := machine.Totalram * uint64(machine.Unit)
	own, err := os.ReadFile(ownCgroup)
	if err != nil {
		return room
	}
	_, path, _ := strings.Cut(strings.TrimSpace(string(own)), "0::")
	return min(room, limitOf(root, path))
}

// limitOf returns the lowest limit of the memory of a control group and of those that it
// is in; all that there could be if there is none.
func limitOf(root, path string) uint64 {
	limit := ^uint64(0)
	for dir := filepath.Clean("/" + path); ; dir = filepath.Dir(dir) {
		for _, name := range []string{"memory.max", "memory.high"} {
			text, err := os.ReadFile(filepath.Join(root, dir, name))
			if err != nil {
				continue // as of the root, which has none
			}
			if n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err == nil { // else it is "max"
				limit = min(limit, n)
			}
		}
		if dir == "/" {
			return limit
		}
	}
}
