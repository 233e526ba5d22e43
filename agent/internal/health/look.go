package health

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"

	"kedge/agent/internal/systemd"
	"kedge/proto"
)

// How much a judgement tells of failed units: it has to fit into a status.
const (
	maxNamed     = 20 // units
	maxLogged    = 5  // units with lines of their log
	maxLogLines  = 8  // of each
	maxLineBytes = 200
)

// look judges the system as it is now. If nothing else speaks against it, its agent
// has to read its desired state once more. The error is for when systemd does not answer.
func (o *observation) look(ctx context.Context) (Judgement, error) {
	units, err := o.failing(ctx)
	if err != nil {
		return Judgement{}, err
	}
	failed := o.failed(ctx, units)
	results, against, remarks := o.judged()
	if len(failed) == 0 && len(against) == 0 {
		o.ask(ctx)
	}
	made, lacks, _ := o.contact(ctx) // an error is in lacks too
	judgement := Judgement{Contact: made, Checks: results}
	var notes []string
	// The first is the reason; the others may help to understand it.
	add := func(r proto.Reason, note string) {
		judgement.Reason = cmp.Or(judgement.Reason, r)
		notes = append(notes, note)
	}
	if len(failed) > 0 {
		judgement.Failed = o.describe(ctx, failed)
		add(proto.ReasonUnitsFailed, namesOf(failed)+" failed")
	}
	if len(against) > 0 {
		add(proto.ReasonCheckFailed, strings.Join(against, ", "))
	}
	if !made {
		add(proto.ReasonNoContact, "no contact: "+lacks)
	}
	judgement.Good = judgement.Reason == ""
	judgement.Message = strings.Join(append(notes, remarks...), "; ")
	return judgement, nil
}

// describe returns the units as they are reported, with the last lines of the
// logs of the first ones.
func (o *observation) describe(ctx context.Context, units systemd.Units) []proto.FailedUnit {
	described := make([]proto.FailedUnit, min(len(units), maxNamed))
	var logs sync.WaitGroup
	for i := range described {
		described[i].Name = units[i].Name
		if i < maxLogged {
			logs.Go(func() { described[i].Log = o.lastLines(ctx, units[i]) })
		}
	}
	logs.Wait()
	return described
}

func (o *observation) lastLines(ctx context.Context, u systemd.Unit) []string {
	q := systemd.JournalQuery{Unit: u.Name, Lines: maxLogLines}
	if Failing(u) {
		q.Since = u.Began // the run that failed; one that flaps may be in its next
	}
	lines, err := o.Units.Journal(ctx, q)
	if err != nil {
		o.Log.WarnContext(ctx, "log of a failed unit cannot be read", "unit", u.Name, "err", err)
		return nil
	}
	for i, l := range lines {
		if len(l) > maxLineBytes {
			lines[i] = strings.ToValidUTF8(l[:maxLineBytes], "") + "…"
		}
	}
	return lines
}

// namesOf lists the units, a few of them by name.
func namesOf(units systemd.Units) string {
	var names []string
	for _, u := range units[:min(len(units), maxLogged)] {
		names = append(names, u.Name)
	}
	text := strings.Join(names, ", ")
	if more := len(units) - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
