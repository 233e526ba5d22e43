package health

import (
	"context"
	"slices"
	"strings"
	"time"

	"kedge/agent/internal/deployment"
	"kedge/agent/internal/systemd"
	"kedge/proto"
)

// flapLines is how many of systemd's lines about a unit are searched for a
// failure; it logs a handful at each restart.
const flapLines = 200

// Baseline returns what is wrong with the units now, before an activation.
// A service that runs counts as one that keeps failing if it was restarted, and
// logged a failure within the time before now that a flapping one is observed
// for. One whose log cannot be read does not: what is named here is excused from
// flapping later, and many a service was restarted once.
func (j Judge) Baseline(ctx context.Context, within time.Duration) (deployment.Baseline, error) {
	units, err := j.Units.Troubled(ctx)
	if err != nil {
		return deployment.Baseline{}, err
	}
	var b deployment.Baseline
	since := time.Now().Add(-within)
	for _, u := range units {
		switch {
		case Failing(u):
			b.Failed = append(b.Failed, u.Name)
		case u.NRestarts > 0:
			if failed, _ := j.loggedFailure(ctx, u.Name, since); failed {
				b.Restarting = append(b.Restarting, u.Name)
			}
		}
	}
	return b, nil
}

// Failed returns the units that have failed by now, with the ends of their logs,
// but for those of which that says nothing about the system (see [Counts]).
func (j Judge) Failed(ctx context.Context, ignore []string) ([]proto.FailedUnit, error) {
	units, err := j.Units.Failing(ctx)
	if err != nil {
		return nil, err
	}
	o := observation{Judge: j}
	return o.describe(ctx, slices.DeleteFunc(units, func(u systemd.Unit) bool { return !Failing(u) || !Counts(u, ignore) })), nil
}

// loggedFailure reports whether systemd says of the unit that it failed since
// then: some services end well, and are meant to be started again and again. If
// its log cannot be read, that is unknown, and failed is false.
func (j Judge) loggedFailure(ctx context.Context, unit string, since time.Time) (failed, unknown bool) {
	lines, err := j.Units.Journal(ctx, systemd.JournalQuery{Unit: unit, BySystemd: true, Lines: flapLines, Since: since})
	if err != nil {
		j.Log.WarnContext(ctx, "log of a restarting unit cannot be read", "unit", unit, "err", err)
		return false, true
	}
	return slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "Failed with result") }), false
}
