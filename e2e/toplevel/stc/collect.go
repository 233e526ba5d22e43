package stc

import (
	"path/filepath"
	"strings"

	"github.com/godbus/dbus/v5"
)

// unitDir is where the running system's unit files are; the new system's are in <toplevel>/unitDir.
const unitDir = "/etc/systemd/system"

// An activeUnit is a unit that systemd holds in a state other than inactive.
type activeUnit struct {
	path     dbus.ObjectPath
	state    string // ActiveState
	substate string // SubState
}

func (u activeUnit) running() bool { return u.state == "active" || u.state == "activating" }

// A collector compares the units that run with the files of the new system.
type collector struct {
	oldDir, newDir string
	active         map[string]activeUnit
	fragment       func(activeUnit) string // FragmentPath; "" if unknown
	showAll        bool                    // mention targets too
	plan           *plan
}

// collect puts into the plan what the difference between old and new files asks for. Units that do
// not come from the system's own folder, generated ones for example, are none of its business.
func (c *collector) collect() error {
	for name, u := range c.active {
		if !u.running() {
			continue
		}
		l := locate(name, c.oldDir, c.newDir)
		if !exists(l.oldBase) || !strings.HasPrefix(c.fragment(u), unitDir) {
			continue
		}
		if err := c.unit(l); err != nil {
			return err
		}
	}
	return nil
}

func (c *collector) unit(l location) error {
	if l.orphaned() || gone(l.base) {
		old, err := readUnit(l.oldFile, l.oldBase)
		if err != nil {
			return err
		}
		if old.flag("Unit", "X-StopOnRemoval", true) {
			c.plan.stop.add(l.name)
		}
		return nil
	}
	fresh, err := readUnit(l.file, l.base)
	if err != nil {
		return err
	}
	if strings.HasSuffix(l.name, ".target") {
		c.target(l.name, fresh)
		return nil
	}
	old, err := readUnit(l.oldFile, l.oldBase)
	if err != nil {
		return err
	}
	switch compare(old, fresh) {
	case changeRestart:
		c.modified(l, fresh, false)
	case changeReload:
		if !c.plan.restart.has(l.name) {
			c.plan.addReload(l.name)
		}
	case changeNone:
	}
	return nil
}

// target starts an active target again, which starts whatever the new system added to it or what
// was stopped on the way.
func (c *collector) target(name string, fresh unit) {
	if !suspends(name) && !fresh.flag("Unit", "RefuseManualStart", false) && !fresh.flag("Unit", "X-OnlyManualStart", false) {
		c.plan.addStart(name)
		if !c.showAll {
			c.plan.hidden.add(name)
		}
	}
	if fresh.flag("Unit", "X-StopOnReconfiguration", false) {
		c.plan.stop.add(name)
	}
}

// modified decides about a unit that has to be restarted. While files are compared that is a stop
// before and a start after the activation; inOneGo, which is for a unit that the activation script
// names, makes it a restart.
func (c *collector) modified(l location, fresh unit, inOneGo bool) {
	p, name := c.plan, l.name
	stopping := p.stop
	if inOneGo {
		stopping = p.restart
	}
	switch {
	case notRestartable(name), strings.HasSuffix(name, ".socket"):
		return
	case name == "-.mount" || name == "nix.mount":
		p.addReload(name)
		return
	case strings.HasSuffix(name, ".mount"):
		p.addRestart(name)
		return
	case fresh.flag("Service", "X-ReloadIfChanged", false) && !p.restart.has(name) && !stopping.has(name):
		p.addReload(name)
		return
	case !fresh.flag("Service", "X-RestartIfChanged", true),
		fresh.flag("Unit", "RefuseManualStop", false),
		fresh.flag("Unit", "X-OnlyManualStart", false):
		p.skip.add(name)
		return
	case !fresh.flag("Service", "X-StopIfChanged", true), !strings.HasSuffix(name, ".service"):
		p.addRestart(name)
	default:
		if !c.sockets(l, fresh, inOneGo) || fresh.flag("Service", "X-NotSocketActivated", false) {
			c.again(name, inOneGo)
		}
		stopping.add(name)
	}
	p.dropReload(name)
}

// sockets restarts the sockets of a service instead of the service. It tells whether there are any
// in the new system, which will then start the service.
func (c *collector) sockets(l location, fresh unit, inOneGo bool) bool {
	names := fresh.words("Service", "Sockets")
	if len(names) == 0 {
		names = []string{strings.TrimSuffix(l.stem(), "@") + ".socket"}
	}
	activated := false
	for _, socket := range names {
		_, listens := c.active[socket]
		stays := exists(filepath.Join(c.newDir, socket))
		if listens {
			if inOneGo {
				c.plan.restart.add(socket)
			} else {
				c.plan.stop.add(socket)
			}
			if stays {
				c.again(socket, inOneGo)
			}
		}
		activated = activated || stays
	}
	return activated
}

// again has a unit that will be stopped brought up afterwards.
func (c *collector) again(name string, inOneGo bool) {
	if inOneGo {
		c.plan.addRestart(name)
	} else {
		c.plan.addStart(name)
	}
}

// notRestartable units are never restarted: special targets come with what pulls them in; slices
// and paths take their properties from the reload of systemd.
func notRestartable(name string) bool {
	switch name {
	case "sysinit.target", "basic.target", "multi-user.target", "graphical.target":
		return true
	default:
		return strings.HasSuffix(name, ".path") || strings.HasSuffix(name, ".slice")
	}
}
