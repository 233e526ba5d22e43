package stc

import (
	"context"
	"fmt"
	"log/syslog"
	"os"
	"path/filepath"
	"strings"
)

// runDir holds the lock and the resume lists.
const runDir = "/run/nixos"

// Options are the process's surroundings. All are required.
type Options struct {
	Args   []string // with the program's name
	Getenv func(string) string
	Stdout *os.File // for the programs it runs; it prints nothing there itself
	Stderr *os.File
	EUID   int
}

// Run does what the command line asks for and returns the exit code. SIGPIPE must be caught by the
// caller, so that a lost reader is an error of a write.
func Run(ctx context.Context, o Options) int {
	c := console{w: o.Stderr}
	err := run(ctx, o, c)
	code, unsaid := exitCode(err)
	if unsaid && c.say("Error: %v", err) != nil {
		return codePanic
	}
	return code
}

func run(ctx context.Context, o Options, c console) error {
	name := filepath.Base(o.Args[0])
	var act action
	if len(o.Args) > 1 {
		act, _ = parseAction(o.Args[1]) // the zero action is answered with the usage
	}
	if act == "" {
		if err := c.say(usage, name); err != nil {
			return err
		}
		return exitError{codeError}
	}
	if o.EUID != 0 {
		return fmt.Errorf("%s must be run as the root user", name)
	}
	env, err := readEnvironment(o.Getenv)
	if err != nil {
		return err
	}
	s := system{environment: env, action: act, console: c, stdout: o.Stdout, stderr: o.Stderr}
	return s.do(ctx)
}

// A system is one run on the whole system.
type system struct {
	environment
	console
	action         action
	stdout, stderr *os.File
	log            *syslog.Writer
}

// do takes the steps in the order that callers rely on.
func (s *system) do(ctx context.Context) error {
	if err := s.requireNixOS(); err != nil {
		return err
	}
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if s.log, err = syslog.New(syslog.LOG_USER|syslog.LOG_INFO, "nixos"); err != nil {
		return fmt.Errorf("initialize logger: %w", err)
	}
	defer func() { _ = s.log.Close() }() // nothing of it is buffered

	if err := s.check(ctx); err != nil || s.action == actionCheck {
		return err
	}
	if s.action.installsBootLoader() {
		if err := s.installBootLoader(ctx); err != nil {
			return err
		}
	}
	if err := s.sync(); err != nil || s.action == actionBoot {
		return err
	}
	if err := s.requireSameInterface(); err != nil {
		return err
	}
	return s.live(ctx)
}

func (s *system) requireNixOS() error {
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return fmt.Errorf("parse os-release: %w", err)
	}
	tag, err := os.Stat("/etc/NIXOS")
	if err == nil && tag.Mode().IsRegular() {
		return nil
	}
	ours, matchErr := isDistro(string(release), s.distroID)
	if ours || matchErr != nil {
		return matchErr
	}
	return s.die(err, "This is not a NixOS installation!")
}

// requireSameInterface ends the run if the new system's init cannot take over from the running one.
func (s *system) requireSameInterface() error {
	current, _ := os.ReadFile("/run/current-system/init-interface-version") // none: an empty version
	fresh, err := os.ReadFile(filepath.Join(s.toplevel, "init-interface-version"))
	if err != nil {
		return fmt.Errorf("init-interface-version should exist: %w", err)
	}
	if string(current) == string(fresh) {
		return nil
	}
	warning := []string{
		"Warning: the new NixOS configuration has an ‘init’ that is",
		"incompatible with the current configuration.  The new configuration",
		"won't take effect until you reboot the system.",
	}
	if err := s.say("%s\n", strings.Join(warning, "\n")); err != nil {
		return err
	}
	return exitError{codeInterface}
}
