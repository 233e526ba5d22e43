package systemd

import "time"

// An ActiveState is what systemd says of a unit at its coarsest.
type ActiveState string

// States of units.
const (
	Active       ActiveState = "active"
	Reloading    ActiveState = "reloading"
	Inactive     ActiveState = "inactive"
	Failed       ActiveState = "failed"
	Activating   ActiveState = "activating"
	Deactivating ActiveState = "deactivating"
	Maintenance  ActiveState = "maintenance"
)

// A Unit is the state of one unit when it was asked for.
type Unit struct {
	Name        string
	LoadState   string // "loaded", "not-found", "masked", "error", …
	ActiveState ActiveState
	SubState    string // by type; of services "running", "exited", "auto-restart", …
	Job         string // the queued job's type, such as "start"; empty without one

	// InvocationID is that of its last run, 32 hexadecimal digits; empty if it
	// never ran. Of [Client.Unit] only.
	InvocationID string

	// The fields below are of [Client.Troubled] and [Client.Failing] only.

	// NRestarts counts the restarts by Restart= since the unit was last started
	// by a job. Services only, and of Failing those that it is told of.
	NRestarts uint32
	Transient bool // made by StartTransientUnit, without a unit file
	// Began is when its last run began, if not a little earlier; zero if it never
	// ran.
	Began time.Time
	// Services only.
	Result         string // "success", "exit-code", "signal", "timeout", …
	ExecMainStatus int32  // exit code or signal of the last main process
}

// Loaded reports whether systemd knows the unit by more than its name.
func (u Unit) Loaded() bool { return u.LoadState != "not-found" }

// Up reports whether the unit does what it is there for.
func (u Unit) Up() bool { return u.ActiveState == Active || u.ActiveState == Reloading }

// Sub-states of services.
const (
	running           = "running"
	autoRestart       = "auto-restart"        // waits to be started again
	autoRestartQueued = "auto-restart-queued" // since systemd 254
)

// AutoRestarting reports whether the unit's process ended and systemd is
// waiting to start it again.
func (u Unit) AutoRestarting() bool {
	return u.SubState == autoRestart || u.SubState == autoRestartQueued
}

// began returns when the last run of a unit began, from when it last left its
// rest and, of a service, when its last main process was started, both in
// microseconds, zero for never. A service that waits to be started again left
// its rest after that.
func began(left, started uint64) time.Time {
	us := left
	if left == 0 || started != 0 && started < left {
		us = started
	}
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(us))
}

// troubled reports whether the unit has failed, waits to be started again, or
// was restarted.
func (u Unit) troubled() bool {
	return u.ActiveState == Failed || u.AutoRestarting() || u.NRestarts > 0
}

// Units are sorted by name, each name once.
type Units []Unit

// Find returns the unit of that name.
func (us Units) Find(name string) (Unit, bool) {
	for _, u := range us {
		if u.Name == name {
			return u, true
		}
	}
	return Unit{}, false
}
