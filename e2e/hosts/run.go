package hosts

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"kedge/e2e/internal/command"
)

// hostPath is the PATH of programs run on a host: what its system brings first, as on NixOS, then Debian's.
const hostPath = "/run/current-system/sw/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// hostEnv is the whole environment of programs run on a host.
func hostEnv() []string {
	return []string{"PATH=" + hostPath, "HOME=/root", "USER=root", "LANG=C.UTF-8"}
}

// Run runs a program on the host, as root in / with no input, and returns its standard output. It works as soon as the
// firmware runs. It fails with [ErrOff] if the machine is off, and with a *command.Error, which has the exit code and the end of
// standard error, if the program fails. A host that loses its power takes the program with it.
func (m *Machine) Run(ctx context.Context, argv ...string) (stdout string, err error) {
	return m.RunInput(ctx, nil, argv...)
}

// RunInput is Run with standard input.
func (m *Machine) RunInput(ctx context.Context, stdin io.Reader, argv ...string) (stdout string, err error) {
	return m.run(ctx, command.Command{Args: argv, Stdin: stdin})
}

// Follow is Run for a program that goes on until ctx ends: each gets every line of standard output when it comes.
func (m *Machine) Follow(ctx context.Context, each func(line string), argv ...string) error {
	_, err := m.run(ctx, command.Command{Args: argv, Progress: each})
	return err
}

// run runs c, whose arguments are for the host.
func (m *Machine) run(ctx context.Context, c command.Command) (stdout string, err error) {
	what := strings.Join(c.Args, " ")
	leader := m.LeaderPID()
	if leader == 0 {
		return "", fmt.Errorf("run %s on %s: %w", what, m.options.Name, ErrOff)
	}
	group, err := m.cgroup.join("run").make()
	if err != nil {
		return "", fmt.Errorf("run %s on %s: %w", what, m.options.Name, err)
	}
	defer group.Close() // a directory, only named at the start
	enter := []string{"nsenter", "--target=" + strconv.Itoa(leader), "--all", "--", "env", "--ignore-environment", "--"}
	c.Args, c.Cgroup = append(append(enter, hostEnv()...), c.Args...), group.Fd()
	if stdout, err = command.Run(ctx, c); err != nil {
		return stdout, fmt.Errorf("on %s: %w", m.options.Name, err)
	}
	return stdout, nil
}

// CPUTime returns how much processor time the host has used in its current boot.
func (m *Machine) CPUTime() (time.Duration, error) { return m.cgroup.cpuTime() }
