package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"kedge/agent/internal/statefile"
	"kedge/proto"
	"kedge/proto/bus"
)

// asked reports whether the bell that rang may have been somebody's: every new
// connection rings it, too.
func (a *Agent) asked() bool {
	state, _ := a.Link.Watch()
	same := state.Connects == a.connects
	a.connects = state.Connects
	return same
}

// renewed reports whether what is desired was only issued anew, so that it stays valid:
// who rang for that asked for nothing.
func renewed(before, now *proto.Order) bool {
	if before == nil || now == nil {
		return false
	}
	was, is := before.Assignment, now.Assignment
	return was.Serial == is.Serial && was.Release == is.Release && !was.Issued.Equal(is.Issued)
}

// readLevel is how loud a failure to read the desired state is: that there is
// no connection is for the connection to say.
func readLevel(err error) slog.Level {
	if errors.Is(err, bus.ErrNotConnected) {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

// readDesired reads and verifies the desired state, and leaves the receipt
// that a transaction in probation waits for. It fails if there was no contact;
// a state that was read and refused is contact without acceptance.
func (a *Agent) readDesired(ctx context.Context) error {
	raw, err := a.Bus.Desired(ctx)
	if r := a.frozen(err); r != nil {
		a.reject(ctx, r)
		if !errors.Is(err, bus.ErrNoDesired) {
			return err
		}
		return a.leaveReceipt(statefile.Contact{Reason: r.Reason})
	}
	if errors.Is(err, bus.ErrNoDesired) {
		a.change(func(v *view) { v.desired, v.order, v.refusal, v.read = nil, nil, nil, true })
		return a.leaveReceipt(statefile.Contact{Reason: proto.ReasonNoDesired})
	}
	if errors.Is(err, bus.ErrTooLarge) {
		return a.refuse(ctx, &proto.RefusalError{Reason: proto.ReasonOversized, Err: err})
	}
	if err != nil {
		return err
	}
	d, err := proto.ParseDesired(raw.Data)
	if err != nil {
		return a.refuse(ctx, proto.RefusalOf(err))
	}
	order, err := a.verify(d)
	if err != nil {
		if r, ok := errors.AsType[*proto.RefusalError](err); ok {
			return a.refuse(ctx, r)
		}
		return err
	}
	a.change(func(v *view) { v.desired, v.order, v.refusal, v.read, v.contact = &d, &order, nil, true, a.Now() })
	if a.Ways != nil {
		token := order.Assignment.CacheToken
		if token.IsZero() {
			token = d.CacheToken
		}
		a.Ways.Assigned(slices.Concat(order.Assignment.Caches, a.Config.controllersCaches()), token)
	}
	return a.leaveReceipt(a.acceptance(order))
}

// acceptance is the receipt for a desired state that was verified. A machine that may not
// act on it would not be heard of again: a system that made it so must not be committed.
func (a *Agent) acceptance(order proto.Order) statefile.Contact {
	if s := a.Keeper.State(); barredHere(s) {
		return statefile.Contact{Serial: order.Assignment.Serial, Reason: s.Reason}
	}
	return statefile.Contact{Serial: order.Assignment.Serial, Accepted: true}
}

// verify decides whether d may be acted on now, and remembers, durably, what
// it then must not fall behind.
func (a *Agent) verify(d proto.Desired) (proto.Order, error) {
	if err := wrongMachine(a.Config.MachineID, a.Identity.MachineID); err != nil {
		return proto.Order{}, &proto.RefusalError{Reason: proto.ReasonWrongMachine, Err: err}
	}
	floor, err := a.Files.Floor()
	if err != nil {
		return proto.Order{}, &proto.RefusalError{Reason: proto.ReasonStateUnreadable, Err: err}
	}
	order, refusal := d.Verify(a.Config.Trust.trust(), a.Config.Host, floor, a.Now())
	if !order.Floor.Equal(floor) { // even of what is refused: a withdrawal stays
		if err := a.Files.SaveFloor(order.Floor); err != nil {
			return proto.Order{}, fmt.Errorf("remember what was accepted: %w", err)
		}
	}
	return order, refusal
}

// lapse makes nothing of the desired state that was accepted once its time is
// over, also while nobody can be asked for a newer one.
func (a *Agent) lapse(ctx context.Context) error {
	v := a.look()
	if v.order == nil || a.Now().Before(v.order.Assignment.Expires) {
		return nil
	}
	_, err := a.verify(*v.desired)
	if r, ok := errors.AsType[*proto.RefusalError](err); ok {
		a.reject(ctx, r)
		return nil
	}
	return err
}

// refuse makes nothing of a desired state but a report; see [Agent.reject].
func (a *Agent) refuse(ctx context.Context, r *proto.RefusalError) error {
	err := a.leaveReceipt(statefile.Contact{Reason: r.Reason})
	a.reject(ctx, r)
	return err
}

// frozen says that nothing fresh came for longer than an assignment is valid, if
// that is so, and err, of a read of the desired state, is that there is none, or no
// answer, although there is a connection.
func (a *Agent) frozen(err error) *proto.RefusalError {
	if err == nil || errors.Is(err, bus.ErrNotConnected) || errors.Is(err, bus.ErrTooLarge) {
		return nil
	}
	f, floorErr := a.Files.PeekFloor()
	if link, _ := a.Link.Watch(); floorErr != nil || !link.Connected || f.Issued.IsZero() || a.Now().Before(f.Issued.Add(proto.AssignmentLifetime)) {
		return nil
	}
	return &proto.RefusalError{Reason: proto.ReasonFreeze, Serial: f.Serial, Err: fmt.Errorf(
		"nothing newer than assignment %s came since %s, although there is a connection: %w", f.Serial, f.Issued.UTC().Format(time.RFC3339), err)}
}

// reject reports a refusal, once for each reason and assignment: an error's text
// may say what time it is.
func (a *Agent) reject(ctx context.Context, r *proto.RefusalError) {
	before := a.look().refusal
	a.change(func(v *view) {
		v.order, v.refusal, v.read = nil, r, true
		v.refusals[r.Reason]++
	})
	if before == nil || before.Reason != r.Reason || before.Serial != r.Serial {
		a.Log.WarnContext(ctx, "desired state refused", "reason", r.Reason, "err", r.Err)
		if err := a.note(proto.Event{Serial: r.Serial, Reason: r.Reason, Message: "desired state refused: " + r.Error()}); err != nil {
			a.Log.ErrorContext(ctx, "event lost", "err", err)
		}
	}
}

func (a *Agent) leaveReceipt(c statefile.Contact) error {
	c.InvocationID, c.BootID = a.Identity.InvocationID, a.Identity.BootID
	c.PID, c.Version, c.At = os.Getpid(), a.Identity.Version, a.Now()
	if err := a.Files.SaveContact(c); err != nil {
		return fmt.Errorf("leave a receipt of the contact: %w", err)
	}
	return nil
}
