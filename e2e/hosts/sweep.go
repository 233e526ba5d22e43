package hosts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Sweep removes everything that fleets whose name begins with prefix have left on this machine: processes, namespaces,
// mounts, cgroups and disks. It leaves fleets alone that belong to a living process, and returns the names of those it removed.
func Sweep(ctx context.Context, prefix string) (swept []string, err error) {
	fleets, err := leftFleets()
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, fleet := range fleets {
		if !strings.HasPrefix(fleet, prefix) {
			continue
		}
		claim, err := claimFleet(fleet)
		if errors.Is(err, ErrInUse) {
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, removeRemains(ctx, fleet), claim.release())
		swept = append(swept, fleet)
	}
	return swept, errors.Join(errs...)
}

// leftFleets returns the names of all fleets that something on this machine bears, in order.
func leftFleets() (fleets []string, err error) {
	for _, place := range places() {
		names, err := list(place.dir)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			rest, ok := strings.CutPrefix(name, place.mark)
			fleet, _, _ := strings.Cut(rest, ".")
			if ok && checkLabel("fleet", fleet) == nil {
				fleets = append(fleets, fleet)
			}
		}
	}
	slices.Sort(fleets)
	return slices.Compact(fleets), nil
}

// A place is a directory whose entries bear the names of fleets, after a mark and up to a dot.
type place struct{ dir, mark string }

func places() []place {
	return []place{{Dir, ""}, {netnsDir, mark + "."}, {propagateDir, mark + "."}}
}

// propagateDir is where systemd-nspawn makes a directory for each container, and leaves it.
const propagateDir = "/run/systemd/nspawn/propagate"

// removeRemains removes everything of a fleet. What is not there is no error: it is what [Network.Destroy] does, and what puts
// away after a process that was killed. The fleet must be claimed.
func removeRemains(ctx context.Context, fleet string) error {
	errs := []error{cgroup(markOf(fleet)).remove(ctx)}
	for _, dir := range []string{netnsDir, propagateDir} {
		names, err := list(dir)
		errs = append(errs, err)
		for _, name := range names {
			if !strings.HasPrefix(name, markOf(fleet)+".") {
				continue
			}
			if dir == netnsDir {
				errs = append(errs, namespace(name).remove(ctx))
			} else {
				errs = append(errs, os.RemoveAll(filepath.Join(dir, name)))
			}
		}
	}
	errs = append(errs, disk{dir: fleetDir(fleet)}.remove())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove fleet %s: %w", fleet, err)
	}
	return nil
}

// list returns the names in dir, none if it does not exist.
func list(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for leftovers: %w", err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}
