package health

import (
	"path"
	"strings"

	"kedge/agent/internal/systemd"
)

// userManagers are the units of logged-in users: what fails in a session says
// nothing about the system.
const userManagers = "user@*.service"

// Counts reports whether a failure of the unit says something about the system:
// not for units that a program made for itself at run time, for what is no
// unit of the system's (scopes, devices, user managers), and for those whose
// name matches a pattern of ignore (see path.Match).
func Counts(u systemd.Unit, ignore []string) bool {
	if u.Transient || strings.HasSuffix(u.Name, ".scope") || strings.HasSuffix(u.Name, ".device") {
		return false
	}
	return !matches(u.Name, userManagers) && !matches(u.Name, ignore...)
}

func matches(name string, patterns ...string) bool {
	for _, p := range patterns {
		// A pattern that is malformed matches nothing; the configuration's
		// validation reports it.
		if ok, err := path.Match(p, name); err == nil && ok {
			return true
		}
	}
	return false
}

// Failing reports whether the unit has failed, or failed and waits to be started
// again.
func Failing(u systemd.Unit) bool {
	if u.ActiveState == systemd.Failed {
		return true
	}
	return u.AutoRestarting() && (u.ExecMainStatus != 0 || u.Result != "" && u.Result != "success")
}

// runs reports whether a process of the service is there, ready or not yet.
func runs(u systemd.Unit) bool {
	return u.Up() || u.ActiveState == systemd.Activating && !u.AutoRestarting()
}
