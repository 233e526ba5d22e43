package systemd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
	godbus "github.com/godbus/dbus/v5"
)

// ErrUnitExists is wrapped by [Client.StartTransient] when systemd has a unit
// of that name already, running or not: attach to it.
var ErrUnitExists = errors.New("the unit exists already")

// Names of systemd's errors.
const (
	errorUnitExists = "org.freedesktop.systemd1.UnitExists"
	errorNoSuchUnit = "org.freedesktop.systemd1.NoSuchUnit"
)

// isError reports whether err is the error of that name.
func isError(err error, name string) bool {
	var e godbus.Error
	return errors.As(err, &e) && e.Name == name
}

// A TransientUnit is a service that outlives whoever starts it: a child of PID
// 1 in a cgroup of its own, with its output in the journal.
//
// It depends on nothing, so that it can run however broken the system is, but
// is stopped at shutdown, before shutdown.target. Its starts are not rate
// limited. When it has ended for good, systemd forgets it.
type TransientUnit struct {
	Name        string   // must end in .service
	Description string   // for people
	ExecStart   []string // an absolute path and its arguments, taken literally
	Environment []string // as "NAME=value"
	// Type as in Type=; empty means "exec": started once the program runs.
	Type string
	// Restart as in Restart=, such as "on-failure"; empty means "no".
	Restart      string
	RestartDelay time.Duration
	// StopTimeout is the time from SIGTERM to SIGKILL; zero means systemd's
	// default.
	StopTimeout    time.Duration
	OOMScoreAdjust int // -1000 (never killed) to 1000
	// TimerSlack is by how much the kernel may put off waking it; zero means
	// systemd's default.
	TimerSlack time.Duration
}

func (u TransientUnit) validate() error {
	switch {
	case !isService(u.Name):
		return errors.New("its name must end in .service")
	case len(u.ExecStart) == 0:
		return errors.New("it has nothing to run")
	}
	return nil
}

func (u TransientUnit) properties() []dbus.Property {
	property := func(name string, value any) dbus.Property {
		return dbus.Property{Name: name, Value: godbus.MakeVariant(value)}
	}
	ps := []dbus.Property{
		dbus.PropDescription(cmp.Or(u.Description, u.Name)),
		dbus.PropType(cmp.Or(u.Type, "exec")),
		dbus.PropExecStart(u.ExecStart, false),
		dbus.PropConflicts("shutdown.target"),
		dbus.PropBefore("shutdown.target"),
		property("DefaultDependencies", false),
		property("CollectMode", "inactive-or-failed"),
		property("StandardOutput", "journal"),
		property("StandardError", "journal"),
		property("StartLimitIntervalUSec", uint64(0)),
		property("OOMScoreAdjust", int32(u.OOMScoreAdjust)),
		property("Restart", cmp.Or(u.Restart, "no")),
		property("RestartUSec", uint64(u.RestartDelay.Microseconds())),
	}
	if u.StopTimeout > 0 {
		ps = append(ps, property("TimeoutStopUSec", uint64(u.StopTimeout.Microseconds())))
	}
	if u.TimerSlack > 0 {
		ps = append(ps, property("TimerSlackNSec", uint64(u.TimerSlack.Nanoseconds())))
	}
	if len(u.Environment) > 0 {
		ps = append(ps, property("Environment", u.Environment))
	}
	return ps
}

// StartTransient starts u and returns when it has started as its type demands.
// The error wraps [ErrUnitExists] if there is such a unit; a program that
// cannot be executed is a [*JobError]. Should ctx end first, the unit may be
// starting nevertheless.
func (c *Client) StartTransient(ctx context.Context, u TransientUnit) error {
	if err := u.validate(); err != nil {
		return fmt.Errorf("start transient unit %q: %w", u.Name, err)
	}
	return c.runJob(ctx, "start", u.Name, func(ctx context.Context, conn *dbus.Conn, result chan<- string) (int, error) {
		// Mode "fail" would also refuse to replace contradicting queued jobs,
		// of which a new unit can have none.
		id, err := conn.StartTransientUnitContext(ctx, u.Name, "fail", u.properties(), result)
		if isError(err, errorUnitExists) {
			err = fmt.Errorf("%w: %w", ErrUnitExists, err)
		}
		return id, err
	})
}
