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

// flapLines is how many lines of a unit are searched for a failure.
const flapLines = 200

// Baseline returns what is wrong with the units now, before an activation.
// A service that runs counts as one that keeps failing if it was restarted, and
// logged a failure within the time before now that a flapping one is observed
// for.
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
		case u.NRestarts > 0 && j.loggedFailure(ctx, u.Name, since):
			b.Restarting = append(b.Restarting, u.Name)
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
// then: some services end well, and are meant to be started again and again.
func (j Judge) loggedFailure(ctx context.Context, unit string, since time.Time) bool {
	lines, err := j.Units.Journal(ctx, systemd.JournalQuery{Unit: unit, Lines: flapLines, Since: since})
	if err != nil {
		j.Log.WarnContext(ctx, "log of a restarting unit cannot be read", "unit", unit, "err", err)
		return false
	}
	return slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "Failed with result") })
}
