package systemd

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/dbus"
	"golang.org/x/sync/errgroup"
)

// atOnce is how many units are asked about at once. There are dozens, and systemd
// answers what has come already without going to sleep between two of them.
const atOnce = 16

// GoingDown reports whether systemd is shutting the host down.
func (c *Client) GoingDown(ctx context.Context) (down bool, err error) {
	err = c.exchange(ctx, "ask for its state", func(ctx context.Context, conn *dbus.Conn) error {
		state, err := systemState(ctx, conn)
		down = state == "stopping"
		return err
	})
	return down, err
}

// systemState returns what `systemctl is-system-running` prints; "" with an error.
func systemState(ctx context.Context, conn *dbus.Conn) (string, error) {
	p, err := conn.SystemStateContext(ctx)
	if err != nil {
		return "", err
	}
	state, _ := p.Value.Value().(string)
	return state, nil
}

// Troubled returns the units that have failed, wait to be started again, or
// were restarted, sorted, with details. That is not atomic: each is asked after
// the list. Of the others systemd is asked about those only that run, or are
// about to or to end.
func (c *Client) Troubled(ctx context.Context) (Units, error) {
	return c.troubled(ctx, append(unsettled(), running), func(string) bool { return true })
}

// Failing is Troubled for one to whom restarts matter of those services alone. To
// be asked about each that runs is some work for systemd.
func (c *Client) Failing(ctx context.Context, restarting ...string) (Units, error) {
	states := unsettled()
	if len(restarting) > 0 {
		states = append(states, running)
	}
	return c.troubled(ctx, states, func(name string) bool { return slices.Contains(restarting, name) })
}

// unsettled are the states of units that do not simply run or rest.
func unsettled() []string {
	return []string{string(Failed), string(Activating), string(Reloading), string(Deactivating)}
}

// troubled looks at the units in states, and asks how often those services were
// restarted that are counted.
func (c *Client) troubled(ctx context.Context, states []string, counted func(name string) bool) (Units, error) {
	var units Units
	err := c.exchange(ctx, "list failed units", func(ctx context.Context, conn *dbus.Conn) error {
		units = nil
		list, err := conn.ListUnitsFilteredContext(ctx, states)
		if err != nil {
			return err
		}
		asked := make(Units, len(list))
		var g errgroup.Group
		g.SetLimit(atOnce)
		for i, s := range list {
			asked[i] = unitOf(s)
			g.Go(func() error {
				u := &asked[i]
				if counted(u.Name) {
					if err := addRestarts(ctx, conn, u); err != nil {
						return err
					}
				}
				if !u.troubled() {
					return nil
				}
				return addDetails(ctx, conn, u)
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		units = slices.DeleteFunc(asked, func(u Unit) bool { return !u.troubled() })
		return nil
	})
	slices.SortFunc(units, func(a, b Unit) int { return cmp.Compare(a.Name, b.Name) })
	return units, err
}

// Unit returns the unit of that name, with its invocation, loading its file if
// need be. A unit that does not exist is no error; see [Unit.Loaded].
func (c *Client) Unit(ctx context.Context, name string) (Unit, error) {
	var u Unit
	err := c.exchange(ctx, "get unit "+name, func(ctx context.Context, conn *dbus.Conn) (err error) {
		u, err = getUnit(ctx, conn, name)
		return err
	})
	return u, err
}

func getUnit(ctx context.Context, conn *dbus.Conn, name string) (Unit, error) {
	list, err := conn.ListUnitsByNamesContext(ctx, []string{name})
	if err != nil {
		return Unit{}, err
	}
	if len(list) != 1 {
		return Unit{}, fmt.Errorf("systemd returned %d units", len(list))
	}
	u := unitOf(list[0])
	u.Name = name // not its name by alias
	var invocation []byte
	err = read(ctx, conn, name, "Unit", "InvocationID", &invocation)
	u.InvocationID = hex.EncodeToString(invocation)
	return u, err
}

func unitOf(s dbus.UnitStatus) Unit {
	return Unit{
		Name:        s.Name,
		LoadState:   s.LoadState,
		ActiveState: ActiveState(s.ActiveState),
		SubState:    s.SubState,
		Job:         s.JobType,
	}
}

func isService(name string) bool { return strings.HasSuffix(name, ".service") }

// addRestarts reads the restart count of a service that can have one.
func addRestarts(ctx context.Context, conn *dbus.Conn, u *Unit) error {
	if !isService(u.Name) || u.ActiveState == Inactive || u.SubState == "exited" {
		return nil
	}
	return read(ctx, conn, u.Name, "Service", "NRestarts", &u.NRestarts)
}

// addDetails reads what the list of units does not have.
func addDetails(ctx context.Context, conn *dbus.Conn, u *Unit) error {
	type property struct {
		kind, name string
		into       any
	}
	var left, started uint64
	properties := []property{
		{"Unit", "Transient", &u.Transient},
		{"Unit", "InactiveExitTimestamp", &left},
	}
	if isService(u.Name) {
		properties = append(properties,
			property{"Service", "Result", &u.Result},
			property{"Service", "ExecMainStatus", &u.ExecMainStatus},
			property{"Service", "ExecMainStartTimestamp", &started},
		)
	}
	for _, p := range properties {
		if err := read(ctx, conn, u.Name, p.kind, p.name, p.into); err != nil {
			return err
		}
	}
	u.Began = began(left, started)
	return nil
}

// read stores one property of a unit's interface in v.
func read(ctx context.Context, conn *dbus.Conn, unit, kind, property string, v any) error {
	p, err := conn.GetUnitTypePropertyContext(ctx, unit, kind, property)
	if err != nil {
		return fmt.Errorf("%s of %s: %w", property, unit, err)
	}
	if err := p.Value.Store(v); err != nil {
		return fmt.Errorf("%s of %s: %w", property, unit, err)
	}
	return nil
}
