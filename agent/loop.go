package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/proto"
)

// More than loopLimit deployments of one system that each were asked for anew,
// within loopWindow, are a loop, such as of two controllers that each want
// another system. docs/transaction.md says what bounds the loops that this does
// not count.
const (
	loopLimit  = 5
	loopWindow = time.Hour
)

// standLimit is how many deployments of one system in a row the host may not go down
// for, each after several tries.
const standLimit = 3

// looping reports whether p, which has just ended, is one deployment of its
// system too many. h is what was remembered before.
func looping(h statefile.History, p statefile.Past) bool {
	last, counts := loops(p)
	if !counts {
		return false
	}
	n := 1
	for _, q := range h.Deployments {
		began, counts := loops(q)
		if counts && q.Toplevel == p.Toplevel && !began.After(last) && last.Sub(began) < loopWindow {
			n++
		}
	}
	return n > loopLimit
}

// loops reports whether p counts, and when it began to touch the system. It
// counts if it did, and unless it was a retry that was not committed: those are
// bounded by their pauses, and must not be held against a system that nobody can
// judge.
func loops(p statefile.Past) (began time.Time, counts bool) {
	i := slices.IndexFunc(p.Steps, func(s statefile.Step) bool { return deployment.Deployment{Phase: s.Phase}.InTransaction() })
	if len(p.Steps) > 0 && p.Steps[0].Reason == proto.ReasonSpecialised {
		return time.Time{}, false // of the proven system, after a boot
	}
	if i < 0 || p.Attempt > 1 && p.Phase != proto.PhaseCommitted {
		return time.Time{}, false
	}
	return p.Steps[i].Time, true
}

// stands reports whether p, which has just ended, is the last deployment of its
// system for which the host may not have gone down. h is what was remembered before.
func stands(h statefile.History, p statefile.Past) bool {
	stood := func(q statefile.Past) bool {
		return q.Phase == proto.PhaseInconclusive && q.Reason == proto.ReasonRebootFailed
	}
	n := 0
	if stood(p) {
		n = 1
	}
	for _, q := range slices.Backward(h.Deployments) {
		if q.Toplevel != p.Toplevel {
			continue
		}
		if !stood(q) || q.Since.After(p.Since) || p.Since.Sub(q.Since) >= statefile.QuarantineLifetime {
			break
		}
		n++
	}
	return stood(p) && n >= standLimit
}

// bound returns why the system of p, which has just ended, must rest for a while;
// nothing if it need not.
func bound(h statefile.History, p statefile.Past) proto.Reason {
	switch {
	case stands(h, p):
		return proto.ReasonRebootFailed
	case looping(h, p):
		return proto.ReasonLooping
	}
	return ""
}

// endLoop quarantines the system of p, which has just ended and is not in the
// history yet, if that was one deployment of it too many. h is what was remembered
// before.
func (a *Agent) endLoop(ctx context.Context, h statefile.History, p statefile.Past) (err error) {
	why := bound(h, p)
	if why == "" {
		return nil
	}
	lock, err := a.Files.LockTransaction()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	if err := a.Files.Quarantine(p.Toplevel, why, a.Now()); err != nil {
		return err
	}
	a.Log.ErrorContext(ctx, "deployed too often; it is not begun again for a while", "toplevel", p.Toplevel, "reason", why)
	return a.note(proto.Event{
		Deployment: p.ID, Serial: p.Serial, Revision: p.Revision, Toplevel: p.Toplevel,
		Reason: why, Message: whileQuarantined(statefile.Quarantine{Reason: why}).Message,
	})
}

func loopMessage() string {
	return fmt.Sprintf("deployed here more than %d times within %s: look who asks for it in turn with another system, "+
		"assign another one, or run `kedge-agent lift --all` on the host", loopLimit, loopWindow)
}

// whileQuarantined is for a system that q keeps from being tried.
func whileQuarantined(q statefile.Quarantine) Decision {
	d := Decision{Action: ActionRest, Reason: proto.ReasonQuarantined, Message: "it failed here before: " + string(q.Reason), Again: q.Until}
	if q.Reason == proto.ReasonLooping {
		d.Reason, d.Message = q.Reason, loopMessage()
	}
	if q.Reason == proto.ReasonRebootFailed {
		d.Reason = q.Reason
		d.Message = fmt.Sprintf("the host did not go down for %d deployments in a row: look what keeps it up (`systemctl list-jobs`), "+
			"then run `kedge-agent lift --all` on the host", standLimit)
	}
	if q.Reason == proto.ReasonRolledBackByHand {
		d.Reason, d.Message = q.Reason, "somebody on the host went back from it; `kedge-agent lift --all` lets it be tried again"
	}
	return d
}
