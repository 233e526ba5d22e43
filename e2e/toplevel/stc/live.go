package stc

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
)

// A live run changes the running system, or says what it would change.
type live struct {
	*system
	bus       *bus
	lists     lists
	before    map[string]activeUnit // as systemd had them at the start
	collector *collector
	plan      *plan
	code      int // exit code so far; a later failure replaces an earlier one
}

// live plans and then does everything that concerns the running system.
func (s *system) live(ctx context.Context) error {
	b, err := connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = b.conn.Close() }() // nothing is in flight
	l := &live{system: s, bus: b, lists: lists{dir: runDir, dry: s.action == actionDryActivate}}
	l.plan = newPlan(l.lists)
	if l.before, err = b.units(ctx); err != nil {
		return err
	}
	l.collector = &collector{
		oldDir: unitDir, newDir: filepath.Join(s.toplevel, unitDir), active: l.before, showAll: s.showAll, plan: l.plan,
		fragment: func(u activeUnit) (path string) {
			if b.property(ctx, u.path, "Unit", "FragmentPath", &path) != nil {
				return "" // gone meanwhile: not ours to touch
			}
			return path
		},
	}
	if err := l.collector.collect(); err != nil {
		return err
	}
	l.plan.fileSystems(readFstab("/etc/fstab"), readFstab(filepath.Join(s.toplevel, "etc/fstab")))
	reexec, err := s.needsReexec()
	if err != nil {
		return err
	}
	if s.action == actionDryActivate {
		return l.dry(ctx, reexec)
	}
	return l.run(ctx, reexec)
}

// needsReexec tells whether the new system brings another systemd, or other settings for it.
func (s *system) needsReexec() (bool, error) {
	fresh, err := filepath.EvalSymlinks(filepath.Join(s.systemd, "lib/systemd/systemd"))
	if err != nil {
		return false, s.die(err, "Could not find systemd of the new system")
	}
	same := resolve("/proc/1/exe") == fresh &&
		resolve("/etc/systemd/system.conf") == resolve(filepath.Join(s.toplevel, "etc/systemd/system.conf"))
	return !same, nil
}

// resolve follows links; what does not exist is all one.
func resolve(path string) string {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "/unknown"
	}
	return target
}

// dry says what would be done.
func (l *live) dry(ctx context.Context, reexec bool) error {
	if err := l.plan.dryBefore(l.console); err != nil {
		return err
	}
	if err := l.say("would activate the configuration..."); err != nil {
		return err
	}
	_ = l.command(ctx, filepath.Join(l.out, "dry-activate"), l.out).Run() // its failure changes nothing
	if err := l.requested(dryRestartList, dryReloadList); err != nil {
		return err
	}
	if reexec {
		if err := l.say("would restart systemd"); err != nil {
			return err
		}
	}
	return l.plan.dryAfter(l.console)
}

// run stops, activates, and starts.
func (l *live) run(ctx context.Context, reexec bool) error {
	_ = l.log.Info("switching to system configuration " + l.toplevel) // the journal is not worth a failure
	if err := l.stop(ctx); err != nil {
		return err
	}
	if err := l.activate(ctx); err != nil {
		return err
	}
	if err := l.requested(activationRestartList, activationReloadList); err != nil {
		return err
	}
	if err := l.reload(ctx, reexec); err != nil {
		return err
	}
	if err := l.bringUp(ctx); err != nil {
		return err
	}
	if err := l.judge(ctx); err != nil {
		return err
	}
	if l.code != codeOK {
		return exitError{l.code}
	}
	return nil
}

func (l *live) stop(ctx context.Context) error {
	if err := l.list("stopping the following units", l.plan.stop.without(l.plan.hidden)); err != nil {
		return err
	}
	for _, name := range l.plan.stop.sorted() {
		_ = l.bus.submit(ctx, "stop", name) // gone already
	}
	if err := l.bus.await(ctx); err != nil {
		return err
	}
	return l.list("NOT restarting the following changed units", l.plan.skip)
}

// activate runs the activation script. A system may have none; a failure does not end the run.
func (l *live) activate(ctx context.Context) error {
	if err := l.say("activating the configuration..."); err != nil {
		return err
	}
	err := l.command(ctx, filepath.Join(l.out, "activate"), l.out).Run()
	if _, failed := errors.AsType[*exec.ExitError](err); !failed {
		return nil
	}
	l.code = codeActivation
	return l.say("Failed to run activate script")
}
