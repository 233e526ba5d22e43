package stc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	systemdName  = "org.freedesktop.systemd1"
	systemdPath  = dbus.ObjectPath("/org/freedesktop/systemd1")
	managerIface = systemdName + ".Manager"
	loginName    = "org.freedesktop.login1"

	callTimeout     = 25 * time.Second       // of a method call, libsystemd's default
	propertyTimeout = 5 * time.Second        // of reading a property
	reloadTimeout   = 180 * time.Second      // of a reload or a re-execution of systemd
	processTime     = 500 * time.Millisecond // of one wait for a message
)

// errBusGone ends every wait once the connection to the bus is lost.
var errBusGone = errors.New("process dbus messages: connection lost")

// A bus is systemd as seen over the system bus. Its signals are handled only while something waits
// (process), in the order of their arrival. Not safe for concurrent use.
type bus struct {
	conn    *dbus.Conn
	signals chan *dbus.Signal

	pending   map[dbus.ObjectPath]string // submitted jobs: the verb
	finished  []finishedJob
	reloading bool
}

// A finishedJob is a job of ours that systemd is done with.
type finishedJob struct{ unit, verb, result string }

// connect opens the system bus and subscribes to systemd's signals.
func connect(ctx context.Context) (*bus, error) {
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx), dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
	if err != nil {
		return nil, fmt.Errorf("open dbus connection: %w", err)
	}
	b := &bus{conn: conn, signals: make(chan *dbus.Signal), pending: map[dbus.ObjectPath]string{}}
	conn.Signal(b.signals)
	if err := b.call(ctx, "Subscribe").Err; err != nil {
		return nil, errors.Join(fmt.Errorf("subscribe to systemd dbus messages: %w", err), conn.Close())
	}
	for _, member := range []string{"JobRemoved", "Reloading"} {
		if err := conn.AddMatchSignalContext(ctx, match(member)...); err != nil {
			return nil, errors.Join(fmt.Errorf("add match for %s: %w", member, err), conn.Close())
		}
	}
	return b, nil
}

func match(member string) []dbus.MatchOption {
	return []dbus.MatchOption{
		dbus.WithMatchSender(systemdName), dbus.WithMatchInterface(managerIface), dbus.WithMatchMember(member),
	}
}

// unmatch stops listening to one of systemd's signals.
func (b *bus) unmatch(ctx context.Context, member string) error {
	if err := b.conn.RemoveMatchSignalContext(ctx, match(member)...); err != nil {
		return fmt.Errorf("remove match for %s: %w", member, err)
	}
	return nil
}

func (b *bus) call(ctx context.Context, method string, args ...any) *dbus.Call {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return b.conn.Object(systemdName, systemdPath).CallWithContext(ctx, managerIface+"."+method, 0, args...)
}

// units lists what systemd holds in a state other than inactive, without aliases.
func (b *bus) units(ctx context.Context) (map[string]activeUnit, error) {
	var rows []struct {
		Name, Description, Load, State, Substate, Following string
		Path                                                dbus.ObjectPath
		JobID                                               uint32
		JobType                                             string
		JobPath                                             dbus.ObjectPath
	}
	if err := b.call(ctx, "ListUnitsByPatterns", []string{}, []string{}).Store(&rows); err != nil {
		return nil, fmt.Errorf("list systemd units: %w", err)
	}
	active := map[string]activeUnit{}
	for _, r := range rows {
		if r.Following == "" && r.State != "inactive" {
			active[r.Name] = activeUnit{path: r.Path, state: r.State, substate: r.Substate}
		}
	}
	return active, nil
}

// property reads one property of the unit at path.
func (b *bus) property(ctx context.Context, path dbus.ObjectPath, iface, name string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, propertyTimeout)
	defer cancel()
	call := b.conn.Object(systemdName, path).CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0,
		systemdName+"."+iface, name)
	if err := call.Store(into); err != nil {
		return fmt.Errorf("get %s of %s: %w", name, path, err)
	}
	return nil
}

// isRunning tells whether the unit is active now, or about to be.
func (b *bus) isRunning(ctx context.Context, unit string) (bool, error) {
	u := activeUnit{}
	if err := b.call(ctx, "GetUnit", unit).Store(&u.path); err != nil {
		return false, fmt.Errorf("get unit %s: %w", unit, err)
	}
	if err := b.property(ctx, u.path, "Unit", "ActiveState", &u.state); err != nil {
		return false, err
	}
	return u.running(), nil
}

// process handles one message, or none within wait. It tells whether there was one.
func (b *bus) process(ctx context.Context, wait time.Duration) (bool, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case s, ok := <-b.signals:
		if !ok {
			return false, errBusGone
		}
		b.handle(s)
		return true, nil
	case <-timer.C:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

func (b *bus) handle(s *dbus.Signal) {
	switch s.Name {
	case managerIface + ".JobRemoved":
		var (
			id           uint32
			job          dbus.ObjectPath
			unit, result string
		)
		if dbus.Store(s.Body, &id, &job, &unit, &result) != nil {
			return // not a signal of the systemd that we know
		}
		if verb, ours := b.pending[job]; ours {
			delete(b.pending, job)
			b.finished = append(b.finished, finishedJob{unit: unit, verb: verb, result: result})
		}
	case managerIface + ".Reloading":
		var active bool
		if dbus.Store(s.Body, &active) == nil {
			b.reloading = active
		}
	}
}

// userNames lists who is logged in.
func (b *bus) userNames(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var rows []struct {
		UID  uint32
		Name string
		Path dbus.ObjectPath
	}
	call := b.conn.Object(loginName, "/org/freedesktop/login1").CallWithContext(ctx, loginName+".Manager.ListUsers", 0)
	if err := call.Store(&rows); err != nil {
		return nil, fmt.Errorf("list users with logind: %w", err)
	}
	names := make([]string, 0, len(rows))
	for _, r := range rows {
		names = append(names, r.Name)
	}
	return names, nil
}
