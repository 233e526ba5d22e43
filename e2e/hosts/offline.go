package hosts

import (
	"context"
	"fmt"
	"io"
	"strings"

	"kedge/e2e/internal/command"
)

// RunOffline runs a program on the machine's disk while the machine is off, with the disk as its root, /proc, /dev and an empty
// /run, and no network: for example to install a system. It fails with [ErrOn] if the machine is on.
func (m *Machine) RunOffline(ctx context.Context, argv ...string) (stdout string, err error) {
	return m.RunOfflineInput(ctx, nil, argv...)
}

// RunOfflineInput is RunOffline with standard input.
func (m *Machine) RunOfflineInput(ctx context.Context, stdin io.Reader, argv ...string) (stdout string, err error) {
	m.button.Lock()
	defer m.button.Unlock()
	if s, _ := m.observe(); s.on() {
		return "", fmt.Errorf("run %s on the disk of %s: %w", strings.Join(argv, " "), m.options.Name, ErrOn)
	}
	group, err := m.cgroup.make()
	if err != nil {
		return "", fmt.Errorf("run %s on the disk of %s: %w", strings.Join(argv, " "), m.options.Name, err)
	}
	defer group.Close() // a directory, only named at the start
	enter := []string{
		"unshare", "--mount", "--mount-proc", "--pid", "--fork", "--kill-child",
		"systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--as-pid2", "--private-network",
		"--machine=" + string(m.namespace()), "--directory=" + m.Root(),
		"--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=pipe",
	}
	for _, setting := range hostEnv() {
		enter = append(enter, "--setenv="+setting)
	}
	stdout, err = command.Run(ctx, command.Command{
		Args:   append(append(enter, "--"), argv...),
		Stdin:  stdin,
		Env:    []string{"PATH=" + hostPath, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1", "SYSTEMD_NSPAWN_LOCK=0"},
		Cgroup: group.Fd(),
	})
	tidyCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTimeout)
	defer cancel()
	if tidy := m.cgroup.remove(tidyCtx); tidy != nil {
		m.log.WarnContext(ctx, "a program on the disk left something behind", "err", tidy)
	}
	if err != nil {
		return stdout, fmt.Errorf("on the disk of %s: %w", m.options.Name, err)
	}
	return stdout, nil
}
