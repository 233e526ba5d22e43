package hosts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// rebootCode is the exit code of systemd-nspawn when the host asked to be started again.
const rebootCode = 133

// tidyTimeout bounds the removal of a boot's cgroup after its last process was killed.
const tidyTimeout = 10 * time.Second

// A boot is one run of a machine, from power-on to its end.
type boot struct {
	log *slog.Logger

	up    chan struct{} // closed when process 1 runs; leader is valid from then on
	ready chan struct{} // closed when systemd has started everything
	over  chan struct{} // closed when no process is left; ending is valid from then on

	readyOnce sync.Once
	leader    int
	ending    ending
}

// isReady reports whether systemd has started everything, and the boot is not over.
func (b *boot) isReady() bool { return isClosed(b.ready) && !isClosed(b.over) }

// An ending is how a boot ended.
type ending struct {
	reboot bool  // the host asked to be started again
	err    error // nil if it powered itself off
	tidy   error // what could not be cleaned up after it
}

// startBoot lays the machine's cable anew and starts its firmware as process 1.
func startBoot(ctx context.Context, m *Machine) (*boot, error) {
	if err := m.cable.lay(ctx); err != nil {
		return nil, err
	}
	b := &boot{log: m.log, up: make(chan struct{}), ready: make(chan struct{}), over: make(chan struct{})}
	news, err := listen(m.noticeDir())
	if err != nil {
		return nil, err
	}
	group, err := m.cgroup.make()
	if err != nil {
		return nil, errors.Join(err, news.close())
	}
	defer group.Close() // a directory, only named at the start
	console, err := os.OpenFile(m.Console(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open console: %w", err), news.close())
	}
	defer console.Close() // the host has its own descriptor
	cmd := containerCommand(ctx, m)
	cmd.Stdout, cmd.Stderr = console, console
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, UseCgroupFD: true, CgroupFD: int(group.Fd())}
	if !m.network.options.Outlive {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	started := make(chan error, 1)
	ended := make(chan error, 1)
	go supervise(cmd, started, ended)
	if err := <-started; err != nil {
		return nil, errors.Join(fmt.Errorf("start systemd-nspawn: %w", err), news.close(), m.cgroup.remove(ctx))
	}
	alive, end := context.WithCancel(ctx)
	news.follow(notices{
		started: func() { b.started(alive, m.cgroup); m.change(nil) },
		ready:   func() { b.readyOnce.Do(func() { close(b.ready) }); m.change(nil) },
	})
	go func() {
		err := <-ended
		end()
		tidyCtx, cancel := context.WithTimeout(ctx, tidyTimeout)
		defer cancel()
		b.ending = endingOf(err)
		b.ending.tidy = errors.Join(m.cgroup.remove(tidyCtx), news.close())
		close(b.over)
		m.change(nil)
	}()
	return b, nil
}

// supervise starts cmd and waits for it on one thread. The kernel sends the parent-death signal when the thread that started the
// process ends, not when the whole parent does: so the thread must not end before the process.
func supervise(cmd *exec.Cmd, started, ended chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Start()
	started <- err
	if err == nil {
		ended <- cmd.Wait()
	}
}

// containerCommand returns the command that runs the host until its power goes. It is process 1 of a process namespace of
// its own (unshare), so that all of the host ends with it: systemd-nspawn alone would leave its container behind when killed.
func containerCommand(ctx context.Context, m *Machine) *exec.Cmd {
	cmd := exec.CommandContext(context.WithoutCancel(ctx),
		"unshare", "--mount", "--mount-proc", "--pid", "--fork", "--kill-child",
		"systemd-nspawn", "--quiet", "--register=no", "--keep-unit",
		"--machine="+string(m.namespace()),
		"--hostname="+m.options.Name,
		"--directory="+m.Root(),
		"--network-namespace-path="+m.namespace().path(),
		"--capability=CAP_NET_ADMIN",
		"--bind="+m.noticeDir()+":/run/e2e",
		"--resolv-conf=off", "--timezone=off", "--link-journal=no",
		"--console=read-only",
		"/usr/sbin/e2e-firmware",
	)
	cmd.Env = append(os.Environ(),
		"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1", // systemd 257 refuses cgroup v1
		"SYSTEMD_NSPAWN_LOCK=0",              // the disk is ours alone; a lock file would stay behind
		"NOTIFY_SOCKET="+supervisorSocket(m.noticeDir()),
	)
	return cmd
}

// leaderInterval is how often started looks for process 1: systemd-nspawn tells its number only as seen from within.
const leaderInterval = 5 * time.Millisecond

// started finds process 1 of the boot, which has just been started, and notes it. It gives up when the boot ends.
func (b *boot) started(ctx context.Context, group cgroup) {
	if isClosed(b.up) {
		return
	}
	again := time.NewTicker(leaderInterval)
	defer again.Stop()
	for {
		leader, err := group.leader()
		if err != nil {
			b.log.ErrorContext(ctx, "process 1 of a boot cannot be found", "err", err)
			return
		}
		if leader != 0 {
			b.leader = leader
			close(b.up)
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return
		}
	}
}

// endingOf classifies what waiting for systemd-nspawn returned.
func endingOf(err error) ending {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == rebootCode {
		return ending{reboot: true}
	}
	return ending{err: err}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
