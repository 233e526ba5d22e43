package health

import (
	"context"
	"fmt"

	"kedge/agent/internal/deployment"
	"kedge/agent/internal/systemd"
)

// awaitChecks returns when every required check passes at once, or ctx ends.
func (o *observation) awaitChecks(ctx context.Context) {
	for {
		required, _ := o.checks(ctx)
		if len(required) == 0 || pause(ctx, retryPause) != nil {
			return
		}
	}
}

// checks says which checks do not pass: the required ones, and the others.
func (o *observation) checks(ctx context.Context) (required, wanted []string) {
	for _, c := range o.p.Checks {
		u, err := o.Units.Unit(ctx, c.Unit)
		if err == nil && up(u) {
			continue
		}
		if text := describeCheck(c, u, err); c.Required {
			required = append(required, text)
		} else {
			wanted = append(wanted, text+" (not required)")
		}
	}
	return required, wanted
}

func describeCheck(c deployment.Check, u systemd.Unit, err error) string {
	switch {
	case err != nil:
		return fmt.Sprintf("check %s: %v", c.Name, err)
	case !u.Loaded():
		return fmt.Sprintf("check %s: there is no unit %s", c.Name, c.Unit)
	default:
		return fmt.Sprintf("check %s: %s is %s (%s)", c.Name, c.Unit, u.ActiveState, u.SubState)
	}
}
