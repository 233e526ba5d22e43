package hosts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"kedge/e2e/internal/command"
	"kedge/e2e/internal/mounts"
)

// tooLittle is less memory, in bytes, than any program needs that is worth killing.
const tooLittle = "1048576"

// gluttony is a program that wants more than that, in a cgroup of cgroup v1.
const gluttony = `echo $$ >"$0/cgroup.procs" && head --bytes=8M /dev/zero | tail >/dev/null`

// OutOfMemory takes a unit's memory away for as long as it takes the kernel to kill the largest process in it, and everything
// else there that asks for more.
func (m *Machine) OutOfMemory(ctx context.Context, unit string) error {
	dir, err := m.cgroup.ofUnit(unit)
	if err == nil {
		err = starve(ctx, dir, m.cgroup)
	}
	if err != nil {
		return fmt.Errorf("take the memory of %s on %s away: %w", unit, m.options.Name, err)
	}
	return nil
}

// ofUnit returns the directory of a unit of the host's, in the unified hierarchy.
func (c cgroup) ofUnit(unit string) (dir string, err error) {
	dirs, err := hierarchies()
	if err != nil {
		return "", err
	}
	err = filepath.WalkDir(filepath.Join(dirs[0], string(c)), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == unit {
			dir = path
			return fs.SkipAll
		}
		return nil // of what vanishes nothing is wanted
	})
	if err == nil && dir == "" {
		err = errors.New("it does not run")
	}
	return dir, err
}

// starve is OutOfMemory of the processes in the cgroup dir, of the host c.
func starve(ctx context.Context, dir string, c cgroup) error {
	all, err := mounts.Read()
	if err != nil {
		return err
	}
	for _, mounted := range all {
		if mounted.Kind == "cgroup" && mounted.Has("memory") {
			return starveApart(ctx, dir, mounted.At, c)
		}
	}
	limit := filepath.Join(dir, "memory.max") // lowering it kills
	if err := os.WriteFile(limit, []byte(tooLittle), 0); err != nil {
		return err
	}
	return os.WriteFile(limit, []byte("max"), 0)
}

// starveApart is starve where memory has a hierarchy of its own, of cgroup v1: the processes are in no cgroup of it, and what
// they have already does not count in another one. So something else asks for memory there: the kernel kills the largest
// process all the same.
func starveApart(ctx context.Context, dir, memory string, c cgroup) (err error) {
	group := filepath.Join(memory, strings.ReplaceAll(string(c), "/", "."))
	if err := os.Mkdir(group, 0o755); err != nil && !errors.Is(err, fs.ErrExist) { // a run that was killed leaves it
		return err
	}
	defer func() { err = errors.Join(err, dissolve(ctx, group, memory)) }()
	if err := os.WriteFile(filepath.Join(group, "memory.limit_in_bytes"), []byte(tooLittle), 0); err != nil {
		return err
	}
	if err := move(dir, group); err != nil {
		return err
	}
	const killed = -1
	_, err = command.Run(ctx, command.Command{Args: []string{"sh", "-c", gluttony, group}})
	if failed, ok := errors.AsType[*command.Error](err); ok && ctx.Err() == nil && (failed.Code == killed || failed.Code > 128) {
		err = nil // the last that was killed
	}
	return err
}

// dissolve removes a cgroup, whose processes go to another one. One that was killed stays in it until it is gone.
func dissolve(ctx context.Context, group, to string) error {
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		err := errors.Join(move(group, to), os.Remove(group))
		if !errors.Is(err, unix.EBUSY) {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return err
		}
	}
}

// move moves every process that is in one cgroup to another one, of any hierarchy.
func move(from, to string) error {
	content, err := os.ReadFile(filepath.Join(from, "cgroup.procs"))
	if err != nil {
		return err
	}
	for field := range strings.FieldsSeq(string(content)) {
		if _, err := strconv.Atoi(field); err != nil {
			return fmt.Errorf("list processes of %s: %w", from, err)
		}
		_ = os.WriteFile(filepath.Join(to, "cgroup.procs"), []byte(field), 0) // it may have ended
	}
	return nil
}
