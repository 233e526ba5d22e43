package stc

import (
	"context"
	"path/filepath"
)

// reactivation is restarted by every run, for what is ordered before sysinit.target.
const reactivation = "sysinit-reactivation.target"

// reload makes systemd forget every failure and read the new unit files.
func (l *live) reload(ctx context.Context, reexec bool) error {
	if reexec {
		if err := l.say("restarting systemd..."); err != nil {
			return err
		}
		if err := l.bus.reexec(ctx); err != nil {
			return err
		}
	}
	if err := l.bus.call(ctx, "ResetFailed").Err; err != nil {
		return err
	}
	if err := l.bus.daemonReload(ctx); err != nil {
		return err
	}
	if err := l.bus.unmatch(ctx, "Reloading"); err != nil {
		return err
	}
	users, err := l.bus.userNames(ctx)
	if err != nil {
		return l.say("warning: %v", err)
	}
	for _, name := range users {
		if err := l.say("reloading user units for %s...", name); err != nil {
			return err
		}
	}
	return nil
}

// bringUp reloads, restarts and starts, each to its end before the next.
func (l *live) bringUp(ctx context.Context) error {
	if err := l.say("restarting " + reactivation); err != nil {
		return err
	}
	if err := l.jobs(ctx, "restart", set{reactivation: {}}); err != nil {
		return err
	}
	if err := l.revive(ctx); err != nil {
		return err
	}
	if len(l.plan.reload) > 0 {
		if err := l.phase(ctx, "reload", reloadList, l.plan.reload, l.plan.reload); err != nil {
			return err
		}
	}
	if len(l.plan.restart) > 0 {
		if err := l.phase(ctx, "restart", restartList, l.plan.restart, l.plan.restart); err != nil {
			return err
		}
	}
	if err := l.phase(ctx, "start", startList, l.plan.start, l.plan.start.without(l.plan.hidden)); err != nil {
		return err
	}
	for _, j := range l.bus.finished {
		switch j.result {
		case "timeout", "failed", "dependency":
			l.code = codeUnits
			if err := l.say("Failed to %s %s", j.verb, j.unit); err != nil {
				return err
			}
		}
	}
	return l.bus.unmatch(ctx, "JobRemoved")
}

// revive starts what was to be reloaded and has meanwhile gone down with something else.
func (l *live) revive(ctx context.Context) error {
	for _, name := range l.plan.reload.sorted() {
		running, err := l.bus.isRunning(ctx, name)
		if err != nil {
			return err
		}
		if running {
			continue
		}
		file := filepath.Join(l.collector.newDir, name)
		if u, err := readUnit(file, file); err == nil && !u.flag("Unit", "RefuseManualStart", false) {
			l.plan.addStart(name)
		}
		l.plan.dropReload(name)
	}
	return nil
}

// phase does one kind of job to all units, and forgets the resume list when they are done.
func (l *live) phase(ctx context.Context, verb, list string, units, shown set) error {
	if err := l.list(verb+"ing the following units", shown); err != nil {
		return err
	}
	if err := l.jobs(ctx, verb, units); err != nil {
		return err
	}
	return l.lists.remove(list)
}

// jobs submits one job for each unit and waits for all.
func (l *live) jobs(ctx context.Context, verb string, units set) error {
	for _, name := range units.sorted() {
		if err := l.bus.submit(ctx, verb, name); err != nil {
			l.code = codeUnits
			if err := l.say("Failed to %s %s: %v", verb, name, err); err != nil {
				return err
			}
		}
	}
	return l.bus.await(ctx)
}
