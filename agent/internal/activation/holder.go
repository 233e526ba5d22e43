package activation

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// lockFile is what every switch-to-configuration locks for as long as it runs.
const lockFile = "/run/nixos/switch-to-configuration.lock"

// commandLimit is how many bytes of a command line tell what it is.
const commandLimit = 120

// holder says who holds the lock of switch-to-configuration now, as [Holder] does.
func (r Runner) holder() string { return Holder(filepath.Join(r.Root, lockFile)) }

// Holder says, in brackets, who holds the lock on a file now. It is empty if nobody
// does any more, or if that cannot be found out.
func Holder(file string) string {
	pid, held := lockedBy(file)
	switch {
	case !held:
		return ""
	case pid <= 0: // of another namespace of processes, or of none
		return " (a process that cannot be seen from here)"
	}
	command := commandOf(pid)
	if command == "" {
		return fmt.Sprintf(" (what process %d, which has ended, has begun)", pid)
	}
	text := fmt.Sprintf(" (process %d, %s", pid, command)
	if unit := unitOf(pid); unit != "" {
		text += ", of " + unit
	}
	return text + ")"
}

// lockedBy returns the process that took a lock on a file, and whether there is
// a lock at all.
func lockedBy(file string) (pid int, held bool) {
	info, err := os.Stat(file)
	if err != nil {
		return 0, false
	}
	stat, is := info.Sys().(*syscall.Stat_t)
	if !is {
		return 0, false
	}
	id := fmt.Sprintf("%02x:%02x:%d", unix.Major(stat.Dev), unix.Minor(stat.Dev), stat.Ino)
	locks, err := os.Open("/proc/locks")
	if err != nil {
		return 0, false
	}
	defer locks.Close()
	for s := bufio.NewScanner(locks); s.Scan(); {
		// number: kind advisory access pid device:inode from to; who waits for one has
		// one field more.
		const pidAt, idAt, fields = 4, 5, 8
		f := strings.Fields(s.Text())
		if len(f) != fields || f[idAt] != id {
			continue
		}
		pid, err := strconv.Atoi(f[pidAt])
		return pid, err == nil
	}
	return 0, false
}

// commandOf returns the beginning of a process' command line, or its name if it
// has none; empty if there is no such process.
func commandOf(pid int) string {
	b, err := os.ReadFile(processFile(pid, "cmdline"))
	if err == nil && len(b) == 0 {
		b, err = os.ReadFile(processFile(pid, "comm"))
	}
	if err != nil {
		return ""
	}
	text := strings.Join(strings.FieldsFunc(string(b), func(r rune) bool { return r <= ' ' }), " ")
	if len(text) > commandLimit {
		return strings.ToValidUTF8(text[:commandLimit], "") + "…"
	}
	return strings.ToValidUTF8(text, "")
}

// unitOf returns what unitIn does for a process; empty if there is none.
func unitOf(pid int) string {
	b, err := os.ReadFile(processFile(pid, "cgroup"))
	if err != nil {
		return ""
	}
	return unitIn(string(b))
}

// unitIn returns the unit that the control groups of a process are of, or else
// the group; empty if that is all there is.
func unitIn(groups string) string {
	for line := range strings.Lines(groups) {
		group, unified := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !unified || group == "/" {
			continue
		}
		for unit := group; unit != "/" && unit != "."; unit = filepath.Dir(unit) {
			if ext := filepath.Ext(unit); ext == ".service" || ext == ".scope" {
				return filepath.Base(unit)
			}
		}
		return group
	}
	return ""
}

func processFile(pid int, name string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), name)
}
