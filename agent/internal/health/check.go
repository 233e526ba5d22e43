package health

import (
	"context"
	"fmt"
	"sync"
	"time"

	"kedge/agent/internal/deployment"
	"kedge/proto"
)

// tryChecks begins to try every check until ctx ends. Those that count are
// begun in counted; failed is called if one of them has failed as often as it
// may. The results are there once both groups have ended.
func (o *observation) tryChecks(ctx context.Context, counted *sync.WaitGroup, failed func()) (others *sync.WaitGroup) {
	others = new(sync.WaitGroup)
	for i, c := range o.p.Checks {
		group := others
		if c.Counts() {
			group = counted
		}
		group.Go(func() {
			result, decided := o.Checks.Await(ctx, c, time.Until(o.began.Add(c.StartDelay)))
			o.results[i] = result
			if decided && !result.Passed && c.Counts() {
				failed()
			}
		})
	}
	return others
}

// tryAgain tries once more, all at the same time, the checks that have passed,
// so that the verdict is of now, and those that there was no time for. One that
// did not pass in all the time that it had stays so.
func (o *observation) tryAgain(ctx context.Context) {
	var all sync.WaitGroup
	for i, c := range o.p.Checks {
		if last := o.results[i]; last.Passed || last.Time.IsZero() {
			all.Go(func() { o.results[i] = o.Checks.Try(ctx, c) })
		}
	}
	all.Wait()
}

// judged returns the results as they are reported, and what they say: against
// the system, and otherwise.
func (o *observation) judged() (results []proto.CheckResult, against, notes []string) {
	for i, c := range o.p.Checks {
		r := o.results[i]
		r.Message += remark(c, r)
		results = append(results, r)
		text := fmt.Sprintf("check %s: %s", r.Name, r.Message)
		switch {
		case r.Passed:
		case c.Counts():
			against = append(against, text)
		default:
			notes = append(notes, text)
		}
	}
	return results, against, notes
}

// remark says what a failure means, where c is not required.
func remark(c deployment.Check, r proto.CheckResult) string {
	switch {
	case r.Passed || c.Required:
		return ""
	case c.Before == deployment.BeforePassed:
		return " (passed before)"
	case c.Before == deployment.BeforeFailed:
		return " (not required, failed before too)"
	default:
		return " (not required)"
	}
}
