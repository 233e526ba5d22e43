package stc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// die ends the run with the number of the system's error as exit code.
func (s *system) die(cause error, message string) error {
	if err := s.say("%s", message); err != nil {
		return err
	}
	code := codeError
	if errno, ok := errors.AsType[syscall.Errno](cause); ok && errno != 0 {
		code = int(errno)
	}
	return exitError{code}
}

// lock takes the lock that lets one run at a time through, or ends the run at once.
func (s *system) lock() (unlock func(), err error) {
	if err := os.MkdirAll(runDir, 0o755); err != nil {
		return nil, fmt.Errorf("create %s: %w", runDir, err)
	}
	if err := os.Chmod(runDir, 0o755); err != nil {
		return nil, fmt.Errorf("set permissions on %s: %w", runDir, err)
	}
	file := filepath.Join(runDir, "switch-to-configuration.lock")
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, s.die(err, "Could not open lock")
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close() // not ours
		return nil, s.die(err, "Could not acquire lock")
	}
	return func() { _ = f.Close() }, nil // closing unlocks; the process is about to end
}

// command prepares a program of the new system. It inherits the output, and the action by name.
func (s *system) command(ctx context.Context, argv ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.Stdin = s.stdout, s.stderr, os.Stdin
	cmd.Env = append(os.Environ(), "NIXOS_ACTION="+string(s.action))
	return cmd
}

// check runs the pre-switch checks of the new system, whatever the action.
func (s *system) check(ctx context.Context) error {
	if s.noCheck {
		return nil
	}
	argv := append(append([]string{}, s.preSwitchCheck...), s.toplevel, string(s.action))
	return s.mustRun(ctx, argv, "Pre-switch checks failed")
}

func (s *system) installBootLoader(ctx context.Context) error {
	argv := append(append([]string{}, s.installLoader...), s.toplevel)
	return s.mustRun(ctx, argv, "Failed to install bootloader")
}

func (s *system) mustRun(ctx context.Context, argv []string, complaint string) error {
	if s.command(ctx, argv...).Run() == nil {
		return nil
	}
	if err := s.say("%s", complaint); err != nil {
		return err
	}
	return exitError{codeError}
}

// sync brings the store to the disk, in case the new system hangs the machine.
func (s *system) sync() error {
	if s.noSync {
		return nil
	}
	store, err := os.Open("/nix/store")
	if err != nil {
		return fmt.Errorf("open /nix/store: %w", err)
	}
	if err := unix.Syncfs(int(store.Fd())); err != nil {
		return errors.Join(fmt.Errorf("sync /nix/store: %w", err), store.Close())
	}
	return store.Close()
}
