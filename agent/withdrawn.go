package agent

import (
	"errors"
	"fmt"
	"slices"

	"kedge/agent/internal/deployment"
	"kedge/proto"
)

// withdrawn reports whether the release of r, which has touched nothing yet, was
// withdrawn. If it cannot be known, nothing is verified either.
func (a *Agent) withdrawn(r deployment.Deployment) bool {
	floor, err := a.Files.PeekFloor()
	return err == nil && slices.Contains(floor.Withdrawn, r.Release)
}

// endWithdrawn ends o's record: its release was withdrawn before it touched
// anything.
func (a *Agent) endWithdrawn(o Observation) error {
	a.stopFetch()
	a.stopHooks()
	return errors.Join(a.giveUpFetch(), a.advance(o.Record.ID, deployment.Step{
		Phase: proto.PhaseFailed, Reason: proto.ReasonWithdrawn,
		Message: fmt.Sprintf("release %s was withdrawn", o.Record.Release),
	}))
}

// runsWithdrawn is the condition Withdrawn. A system may be in several releases:
// it is not withdrawn if it is in the one that was accepted last.
func runsWithdrawn(v view, d disk) proto.Condition {
	c := proto.Condition{Type: proto.ConditionWithdrawn, Status: proto.StatusFalse}
	release := d.proven.Release
	accepted := v.order != nil && v.order.Release.Toplevel == d.proven.Toplevel
	if !release.IsZero() && slices.Contains(d.floor.Withdrawn, release) && !accepted {
		c.Status, c.Reason = proto.StatusTrue, proto.ReasonWithdrawn
		c.Message = fmt.Sprintf("release %s, of revision %s, was withdrawn; assign another one to the host", release, d.proven.Revision.Short())
	}
	return c
}
