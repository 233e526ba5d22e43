package logind

import (
	"context"
	"errors"
	"strings"

	"github.com/godbus/dbus/v5"
)

// Names of logind on the bus.
const (
	service          = "org.freedesktop.login1"
	managerPath      = dbus.ObjectPath("/org/freedesktop/login1")
	managerInterface = service + ".Manager"
	sessionInterface = service + ".Session"
	getAll           = "org.freedesktop.DBus.Properties.GetAll"
)

// A bus is a connection to the message bus.
type bus struct{ conn *dbus.Conn }

// call calls a method of logind, which is not started for that.
func (b bus) call(ctx context.Context, path dbus.ObjectPath, method string, args ...any) *dbus.Call {
	return b.conn.Object(service, path).CallWithContext(ctx, method, dbus.FlagNoAutoStart, args...)
}

// here reports whether the session at path is somebody's who is logged in. One
// that ended meanwhile is not.
func (b bus) here(ctx context.Context, path dbus.ObjectPath) (bool, error) {
	var properties map[string]dbus.Variant
	if err := b.call(ctx, path, getAll, sessionInterface).Store(&properties); err != nil {
		if named(err, "org.freedesktop.DBus.Error.UnknownObject") {
			return false, nil
		}
		return false, err
	}
	class, _ := properties["Class"].Value().(string)
	state, _ := properties["State"].Value().(string)
	return strings.HasPrefix(class, "user") && (state == "active" || state == "online"), nil
}

// absent reports whether err says that nobody is called logind.
func absent(err error) bool {
	return named(err, "org.freedesktop.DBus.Error.NameHasNoOwner") || named(err, "org.freedesktop.DBus.Error.ServiceUnknown")
}

// named reports whether err is the bus's error of that name.
func named(err error, name string) bool {
	var e dbus.Error
	return errors.As(err, &e) && e.Name == name
}
