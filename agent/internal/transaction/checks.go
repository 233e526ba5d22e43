package transaction

import (
	"context"
	"reflect"
	"slices"
	"time"

	"kedge/agent/internal/check"
	"kedge/agent/internal/deployment"
	"kedge/proto"
)

// beforeTimeout bounds the tries of all checks before an activation.
const beforeTimeout = 5 * time.Second

// subject is what checks are told that they are run for, while p runs.
func (t *transaction) subject(p proto.StorePath) check.Subject {
	return check.Subject{Deployment: t.d.ID, Toplevel: p}
}

// tryBefore tries the checks that are not required, the new system's and those
// of the one that runs, and notes in d which passed: they count from now on.
func (t *transaction) tryBefore(ctx context.Context, d *deployment.Deployment) error {
	var wanted []*deployment.Check
	for _, p := range []*deployment.Probation{&d.Probation, &d.RollbackProbation} {
		p.Checks = slices.Clone(p.Checks)
		for i := range p.Checks {
			if !p.Checks[i].Required {
				wanted = append(wanted, &p.Checks[i])
			}
		}
	}
	var distinct []deployment.Check // most checks are the same in both
	for _, c := range wanted {
		if indexOf(distinct, *c) < 0 {
			distinct = append(distinct, *c)
		}
	}
	if len(distinct) == 0 {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, beforeTimeout)
	defer cancel()
	results := t.Host.Try(bounded, t.subject(d.BackTo()), distinct)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, c := range wanted {
		before := deployment.BeforeFailed
		if results[indexOf(distinct, *c)].Passed {
			before = deployment.BeforePassed
		}
		c.Before = before
	}
	return nil
}

func indexOf(checks []deployment.Check, c deployment.Check) int {
	return slices.IndexFunc(checks, func(other deployment.Check) bool { return reflect.DeepEqual(other, c) })
}
