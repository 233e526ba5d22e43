package agent

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"kedge/agent/internal/check"
	"kedge/agent/internal/health"
	"kedge/agent/internal/profile"
	"kedge/internal/setup"
	"kedge/proto"
)

// CheckOptions is what [Check] needs.
type CheckOptions struct {
	// File is the configuration of the running system's agent. Required.
	File  string
	Units health.Units // required
}

// A CheckReport is how the running system is, at one moment.
type CheckReport struct {
	Checks []proto.CheckResult `json:"checks"` // in the order of the configuration
	Failed []proto.FailedUnit  `json:"failed"` // units that have failed, by name
}

// Good reports whether every required check passed and no unit has failed.
func (r CheckReport) Good() bool {
	return len(r.Failed) == 0 && !slices.ContainsFunc(r.Checks, func(c proto.CheckResult) bool { return c.Required && !c.Passed })
}

// Check tries each check that the configuration declares once, and looks for
// units that have failed, but for those that do not count in a probation either.
// It asks no agent, and changes nothing, as far as the checks do not.
func Check(ctx context.Context, o CheckOptions) (CheckReport, error) {
	c, err := setup.DecodeKnown(o.File, judged{Probation: DefaultConfig().Probation})
	if err != nil {
		return CheckReport{}, err
	}
	p := c.Probation.probation()
	systems, _ := profile.System{}.Systems() // programs are told of it as far as it is known
	tries := &check.Runner{Units: o.Units, Subject: check.Subject{Toplevel: systems.Current}}
	results := tries.TryAll(ctx, p.Checks)
	judge := health.Judge{Units: o.Units, Log: slog.New(slog.DiscardHandler)} // a log that cannot be read is not shown
	failed, err := judge.Failed(ctx, p.IgnoreUnits)
	if err != nil {
		return CheckReport{}, fmt.Errorf("look for failed units: %w", err)
	}
	return CheckReport{Checks: results, Failed: failed}, nil
}
