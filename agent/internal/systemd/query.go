package systemd

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/dbus"
)

// Snapshot returns every unit that systemd has loaded. It is not atomic:
// restart counts and details are read unit by unit after the list.
func (c *Client) Snapshot(ctx context.Context) (Units, error) {
	var units Units
	err := c.exchange(ctx, "list units", func(ctx context.Context, conn *dbus.Conn) error {
		list, err := conn.ListUnitsContext(ctx)
		if err != nil {
			return err
		}
		units, err = describe(ctx, conn, list)
		return err
	})
	return units, err
}

// GoingDown reports whether systemd is shutting the host down.
func (c *Client) GoingDown(ctx context.Context) (down bool, err error) {
	err = c.exchange(ctx, "ask for its state", func(ctx context.Context, conn *dbus.Conn) error {
		state, err := conn.SystemStateContext(ctx)
		if err != nil {
			return err
		}
		down = state.Value.Value() == "stopping"
		return nil
	})
	return down, err
}

// Troubled returns the units that have failed, wait to be started again, or
// were restarted, with details. It costs less than a snapshot: systemd is
// asked about those only that have failed, run, or are about to.
func (c *Client) Troubled(ctx context.Context) (Units, error) {
	var units Units
	err := c.exchange(ctx, "list failed units", func(ctx context.Context, conn *dbus.Conn) error {
		list, err := conn.ListUnitsFilteredContext(ctx, []string{string(Failed), string(Activating), running})
		if err != nil {
			return err
		}
		units, err = describe(ctx, conn, list)
		return err
	})
	return slices.DeleteFunc(units, func(u Unit) bool { return !u.troubled() }), err
}

// describe returns the listed units, sorted, those in trouble with details.
func describe(ctx context.Context, conn *dbus.Conn, list []dbus.UnitStatus) (Units, error) {
	var units Units
	for _, s := range list {
		u := unitOf(s)
		if err := addRestarts(ctx, conn, &u); err != nil {
			return nil, err
		}
		if u.troubled() {
			if err := addDetails(ctx, conn, &u); err != nil {
				return nil, err
			}
		}
		units = append(units, u)
	}
	slices.SortFunc(units, func(a, b Unit) int { return cmp.Compare(a.Name, b.Name) })
	return units, nil
}

// Unit returns the unit of that name, with details, loading its file if need
// be. A unit that does not exist is no error; see [Unit.Loaded].
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
	if err := addRestarts(ctx, conn, &u); err != nil {
		return Unit{}, err
	}
	return u, addDetails(ctx, conn, &u)
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
	var invocation []byte
	var left, started uint64
	properties := []property{
		{"Unit", "FragmentPath", &u.FragmentPath},
		{"Unit", "Transient", &u.Transient},
		{"Unit", "InvocationID", &invocation},
		{"Unit", "InactiveExitTimestamp", &left},
	}
	if isService(u.Name) {
		properties = append(properties,
			property{"Service", "MainPID", &u.MainPID},
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
	u.InvocationID = hex.EncodeToString(invocation)
	u.Began = began(left, started)
	u.Detailed = true
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
