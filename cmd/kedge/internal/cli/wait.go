package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"kedge/internal/summary"
	"kedge/internal/terminal"
	"kedge/proto"
	"kedge/proto/bus"
)

// pollTimeout is how long one look at the fleet may take: the controller answers
// within MaxWait, unless its answer is lost.
const pollTimeout = proto.MaxWait + 15*time.Second

// errInterrupted ends a wait that the user did not want to see the end of.
var errInterrupted = errors.New("interrupted; what was asked for goes on")

// judge says, from one look at the fleet, how each host is that is waited for,
// and whether there is nothing to wait for. An error ends the waiting.
type judge func(proto.FleetReply) (verdicts []judged, done bool, err error)

// judged is one host as a judge finds it.
type judged struct {
	host    proto.HostName
	outcome outcome
	why     string
}

func (j judged) String() string {
	return fmt.Sprintf("%s (%s)", j.host, terminal.Printable(summary.FirstLine(j.why)))
}

// await looks at the fleet at every change until the judge is done, and says on
// the way how each host ends. It fails if one ends badly, or ctx ends before.
func (k *kedge) await(ctx context.Context, conn *bus.Conn, j judge) error {
	return k.watch(ctx, func(ctx context.Context, req proto.FleetRequest) (proto.FleetReply, error) {
		return callFleet(ctx, conn, req)
	}, j)
}

// watch is await, with look to look at the fleet. A look that is not answered
// within pollTimeout, or that the controller cannot answer then, is made again.
func (k *kedge) watch(ctx context.Context, look func(context.Context, proto.FleetRequest) (proto.FleetReply, error), j judge) error {
	var told, last []judged
	var lastErr error
	for after := uint64(0); ; {
		polling, stop := context.WithTimeout(ctx, pollTimeout)
		r, err := look(polling, proto.FleetRequest{After: after, Wait: proto.MaxWait})
		stop()
		if ctx.Err() != nil {
			return late(ctx, last, lastErr)
		}
		if err != nil {
			if !passing(err) {
				return err
			}
			lastErr = err
			pause(ctx)
			continue
		}
		after, lastErr = r.Version, nil
		verdicts, done, err := j(r)
		if err != nil {
			return err
		}
		last = verdicts
		for _, v := range verdicts {
			if v.outcome != outcomeWaiting && !slices.Contains(told, v) {
				told = append(told, v)
				fmt.Fprintf(k.Stdout, "%s: %s\n", v.host, terminal.Printable(v.why))
			}
		}
		if done {
			return badEnds(verdicts)
		}
	}
}

// badEnds returns an error that names the hosts that ended badly, if any did.
func badEnds(verdicts []judged) error {
	var bad []string
	for _, v := range verdicts {
		if v.outcome == outcomeBad {
			bad = append(bad, v.String())
		}
	}
	if len(bad) > 0 {
		return &badEndError{hosts: bad}
	}
	return nil
}

// late returns the error of a wait that ctx ended. A host that had ended badly
// by then is the worse news.
func late(ctx context.Context, verdicts []judged, err error) error {
	if bad := badEnds(verdicts); bad != nil {
		return bad
	}
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errInterrupted
	}
	var waiting []string
	for _, v := range verdicts {
		if v.outcome == outcomeWaiting {
			waiting = append(waiting, v.String())
		}
	}
	return &lateError{waiting: waiting, err: err}
}

// allEnded reports whether none of the hosts is waited for any more.
func allEnded(verdicts []judged) bool {
	return !slices.ContainsFunc(verdicts, func(v judged) bool { return v.outcome == outcomeWaiting })
}

// stopped returns the error of a call that failed with err: with --wait, that the
// time was up is told apart from other failures.
func stopped(ctx context.Context, err error, waiting bool) error {
	if waiting && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &lateError{err: err}
	}
	return err
}
