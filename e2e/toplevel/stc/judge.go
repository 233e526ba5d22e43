package stc

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
)

// judge looks at all units once, a moment after the last job: what fails later, and what happens to
// have been started again in that moment, goes unseen; what failed for reasons of its own does not.
func (l *live) judge(ctx context.Context) error {
	if err := l.bus.settle(ctx); err != nil {
		return err
	}
	after, err := l.bus.units(ctx)
	if err != nil {
		return err
	}
	failed, started := set{}, set{}
	for name, u := range after {
		bad, err := l.failed(ctx, name, u)
		if err != nil {
			return err
		}
		_, was := l.before[name]
		switch {
		case bad:
			failed.add(name)
		case !was && !strings.HasSuffix(name, ".scope"):
			started.add(name)
		}
	}
	if err := l.list("the following new units were started", started); err != nil {
		return err
	}
	if len(failed) > 0 {
		if err := l.list("warning: the following units failed", failed); err != nil {
			return err
		}
		argv := append([]string{filepath.Join(l.systemd, "bin/systemctl"), "status", "--no-pager", "--full"}, failed.sorted()...)
		_ = l.command(ctx, argv...).Run() // fails by nature: the units are not active
		l.code = codeUnits
	}
	// The journal is not worth a failure.
	if l.code == codeOK {
		_ = l.log.Info("finished switching to system configuration " + l.toplevel)
	} else {
		_ = l.log.Err(fmt.Sprintf("switching to system configuration %s failed (status %d)", l.toplevel, l.code))
	}
	return nil
}

// failed tells whether a unit has failed, or is a service that waits to be started again after it
// ended with an error.
func (l *live) failed(ctx context.Context, name string, u activeUnit) (bool, error) {
	if u.state == "failed" {
		return true, nil
	}
	if u.substate != "auto-restart" || !strings.HasSuffix(name, ".service") {
		return false, nil
	}
	var status int32
	if err := l.bus.property(ctx, u.path, "Service", "ExecMainStatus", &status); err != nil {
		return false, err
	}
	return status != 0, nil
}
