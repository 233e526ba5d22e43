package hosts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"kedge/e2e/internal/mounts"
)

// A cgroup is a path below the root of the machine's cgroup hierarchies. Everything that runs on a host is in its cgroup, so
// that one write ends it all at once.
type cgroup string

// hierarchies returns where the machine has mounted the cgroup hierarchies that systemd-nspawn makes directories in: the
// unified one first, then, on a machine with cgroup v1, systemd's named one.
func hierarchies() (dirs []string, err error) {
	mounted, err := mounts.Read()
	if err != nil {
		return nil, err
	}
	for _, m := range mounted {
		switch {
		case m.Kind == "cgroup2":
			dirs = slices.Insert(dirs, 0, m.At)
		case m.Kind == "cgroup" && m.Has("name=systemd"):
			dirs = append(dirs, m.At)
		}
	}
	if len(dirs) == 0 || !isUnified(dirs[0]) {
		return nil, errors.New("find cgroups: no cgroup v2 hierarchy is mounted on this machine; hosts cannot be run")
	}
	return dirs, nil
}

func isUnified(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "cgroup.controllers"))
	return err == nil
}

// join returns the cgroup name below c.
func (c cgroup) join(name string) cgroup { return cgroup(filepath.Join(string(c), name)) }

// make makes the cgroup if it is not there and opens its directory.
func (c cgroup) make() (*os.File, error) {
	dirs, err := hierarchies()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(dirs[0], string(c))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make cgroup: %w", err)
	}
	return os.Open(dir)
}

// processes returns everything that runs in the cgroup and below. What comes or goes meanwhile may be in it or not.
func (c cgroup) processes() (pids []int, err error) {
	dirs, err := hierarchies()
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(filepath.Join(dirs[0], string(c)), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "cgroup.procs" {
			return nil //nolint:nilerr // a cgroup that vanishes has no processes
		}
		content, _ := os.ReadFile(path) // likewise
		for field := range strings.FieldsSeq(string(content)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				return fmt.Errorf("list processes of cgroup %s: %w", c, err)
			}
			pids = append(pids, pid)
		}
		return nil
	})
	return pids, err
}

// leader returns the process in the cgroup that is process 1 of its container, 0 if there is none.
func (c cgroup) leader() (pid int, err error) {
	pids, err := c.processes()
	if err != nil {
		return 0, err
	}
	for _, pid := range pids {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err == nil && isLeader(string(status)) {
			return pid, nil
		}
	}
	return 0, nil
}

// isLeader reports whether the content of a /proc/PID/status is that of a container's process 1: the third in a chain of
// process namespaces (the machine's, the one that ties the container to its supervisor, the container's).
func isLeader(status string) bool {
	for line := range strings.Lines(status) {
		if ids, ok := strings.CutPrefix(line, "NSpid:"); ok {
			fields := strings.Fields(ids)
			return len(fields) == 3 && fields[2] == "1"
		}
	}
	return false
}

// kill ends every process in the cgroup at once. It is no error if there is none.
func (c cgroup) kill() error {
	dirs, err := hierarchies()
	if err != nil {
		return err
	}
	err = os.WriteFile(filepath.Join(dirs[0], string(c), "cgroup.kill"), []byte("1"), 0)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("kill cgroup %s: %w", c, err)
	}
	return nil
}

// emptyInterval is how often remove looks whether the killed processes are gone. They are within milliseconds.
const emptyInterval = 5 * time.Millisecond

// remove kills everything in the cgroup, waits until it is gone and removes the cgroup from every hierarchy.
func (c cgroup) remove(ctx context.Context) error {
	if err := c.kill(); err != nil {
		return err
	}
	dirs, err := hierarchies()
	if err != nil {
		return err
	}
	again := time.NewTicker(emptyInterval)
	defer again.Stop()
	for _, dir := range dirs {
		for {
			err := removeDirs(filepath.Join(dir, string(c)))
			if err == nil {
				break
			}
			select {
			case <-again.C:
			case <-ctx.Done():
				return fmt.Errorf("remove cgroup %s: %w", c, err)
			}
		}
	}
	return nil
}

// removeDirs removes a tree of cgroups: directories whose files cannot be deleted but vanish with them.
func removeDirs(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, path := range slices.Backward(dirs) {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// cpuTime returns how much processor time everything that ran in the cgroup has used.
func (c cgroup) cpuTime() (time.Duration, error) {
	dirs, err := hierarchies()
	if err != nil {
		return 0, err
	}
	content, err := os.ReadFile(filepath.Join(dirs[0], string(c), "cpu.stat"))
	if err != nil {
		return 0, fmt.Errorf("read processor time: %w", err)
	}
	for line := range strings.Lines(string(content)) {
		if usage, ok := strings.CutPrefix(strings.TrimSpace(line), "usage_usec "); ok {
			micros, err := strconv.ParseInt(usage, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read processor time of %s: %w", c, err)
			}
			return time.Duration(micros) * time.Microsecond, nil
		}
	}
	return 0, fmt.Errorf("read processor time of %s: no usage_usec in cpu.stat", c)
}
