package stc

import (
	"context"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	quietTime = 250 * time.Millisecond // without a message: the bus has settled
	quietWait = 90 * time.Second       // at most, for that
)

// submit queues one job and remembers it for await. The verb is "start", "stop", "restart" or
// "reload".
func (b *bus) submit(ctx context.Context, verb, unit string) error {
	method := map[string]string{
		"start": "StartUnit", "stop": "StopUnit", "restart": "RestartUnit", "reload": "ReloadUnit",
	}[verb]
	var job dbus.ObjectPath
	if err := b.call(ctx, method, unit, "replace").Store(&job); err != nil {
		return err
	}
	b.pending[job] = verb
	return nil
}

// await waits for all submitted jobs, however long they take.
func (b *bus) await(ctx context.Context) error {
	for len(b.pending) > 0 {
		if _, err := b.process(ctx, processTime); err != nil {
			return err
		}
	}
	return nil
}

// reexec has systemd execute itself anew, and waits for it.
func (b *bus) reexec(ctx context.Context) error { return b.reloadBy(ctx, "Reexecute") }

// daemonReload has systemd read its unit files, and waits for it.
func (b *bus) daemonReload(ctx context.Context) error { return b.reloadBy(ctx, "Reload") }

// reloadBy does not wait for the method's answer, which may never come, but for the signal that
// systemd is done.
func (b *bus) reloadBy(ctx context.Context, method string) error {
	b.reloading = true
	b.conn.Object(systemdName, systemdPath).Go(managerIface+"."+method, dbus.FlagNoReplyExpected, nil)
	deadline := time.Now().Add(reloadTimeout)
	for b.reloading {
		if _, err := b.process(ctx, processTime); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("systemd daemon %s failed, timeout after %s", method, reloadTimeout)
		}
	}
	return nil
}

// settle waits until the bus has been quiet for a moment, or for quietWait.
func (b *bus) settle(ctx context.Context) error {
	for waited := time.Duration(0); waited < quietWait; waited += quietTime {
		if busy, err := b.process(ctx, quietTime); err != nil || !busy {
			return err
		}
	}
	return nil
}
