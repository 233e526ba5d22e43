package health

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kedge/agent/internal/statefile"
	"kedge/agent/internal/systemd"
)

// noteAgent remembers which agent runs before the restart: its receipt does not
// count. It fails only if ctx ends before systemd answers.
func (o *observation) noteAgent(ctx context.Context) error {
	for {
		u, err := o.Units.Unit(ctx, AgentUnit)
		if err == nil {
			o.agentBefore = u.InvocationID
			return nil
		}
		if pause(ctx, retryPause) != nil {
			return err
		}
	}
}

// headStart is how long the services of the system have the host to themselves at most.
// In a short grace period it is a tenth of that.
const headStart = time.Second

// restart restarts the agent, once what was activated had time to start: that is what
// the host is for. A start that fails is not tried again here: that is what the unit's
// Restart= is for.
func (o *observation) restart(ctx context.Context) {
	defer close(o.restarted)
	if pause(ctx, min(headStart, o.p.Grace/10)) != nil {
		return
	}
	for {
		err := o.Units.RestartUnit(ctx, AgentUnit)
		o.restartErr = err
		var job *systemd.JobError
		if err == nil || errors.As(err, &job) || pause(ctx, retryPause) != nil {
			break
		}
	}
	if o.restartErr != nil && ctx.Err() == nil {
		o.Log.WarnContext(ctx, "agent could not be restarted", "unit", AgentUnit, "err", o.restartErr)
	}
}

// Asking the agent to read its desired state once more.
const (
	// askTimeout is longer than an agent waits for a connection before it says that
	// it has none.
	askTimeout = 8 * time.Second
	// askPause is between two asks. The agent tries again by itself, too.
	askPause = 5 * time.Second
)

// ask has the restarted agent, if it made contact, read its desired state once more: a
// network may be lost after the contact that is on its receipt. That receipt does not
// count any more. Whatever the agent answers, another one is the proof; it needs no clock
// to be told from the one before.
func (o *observation) ask(ctx context.Context) {
	receipt, err := o.Receipts.Contact()
	if err != nil || !o.ofRestarted(receipt) || o.isSpent(receipt) {
		return
	}
	o.asked, o.spent = true, receipt
	o.askAgain(ctx)
}

func (o *observation) askAgain(ctx context.Context) {
	bounded, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if err := o.Agent.Reconcile(bounded); ctx.Err() == nil {
		o.askErr = err
	}
	o.answered = time.Now()
}

// awaitContact returns when there is contact, or ctx ends. Was the agent asked in
// vain, that is contact since then.
func (o *observation) awaitContact(ctx context.Context) {
	changed, err := o.Receipts.WatchContact(ctx)
	if err != nil {
		o.Log.WarnContext(ctx, "contact receipt cannot be watched", "err", err)
	}
	restarted := o.restarted
	for {
		made, err := o.madeContact(ctx)
		if made || ctx.Err() != nil {
			return
		}
		var look, again <-chan time.Time
		if err != nil || changed == nil {
			look = time.After(retryPause) // nobody tells when it is worth looking again
		}
		if o.asked {
			again = time.After(askPause - time.Since(o.answered))
		}
		select {
		case _, open := <-changed:
			if !open {
				changed = nil
			}
		case <-restarted:
			restarted = nil
		case <-look:
		case <-again:
			o.askAgain(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// madeContact reports whether there is contact. As long as no new agent has left
// a receipt, systemd need not be asked.
func (o *observation) madeContact(ctx context.Context) (bool, error) {
	receipt, err := o.Receipts.Contact()
	if err != nil || !o.ofRestarted(receipt) || o.isSpent(receipt) {
		return false, err
	}
	made, _, err := o.contact(ctx)
	return made, err
}

// ofRestarted reports whether the receipt may be of an agent that was started after
// the observation began.
func (o *observation) ofRestarted(receipt statefile.Contact) bool {
	return receipt.InvocationID != o.agentBefore && receipt.BootID == o.BootID
}

// isSpent reports whether the receipt is the one from before the agent was asked.
func (o *observation) isSpent(receipt statefile.Contact) bool {
	return o.asked && receipt.InvocationID == o.spent.InvocationID && receipt.At.Equal(o.spent.At)
}

// contact reports whether the agent that runs now, started after the
// observation began, made contact and accepted what it read; if not, why.
// The error is for when that could not be asked.
func (o *observation) contact(ctx context.Context) (made bool, why string, err error) {
	receipt, err := o.Receipts.Contact()
	if err != nil {
		return false, err.Error(), err
	}
	u, err := o.Units.Unit(ctx, AgentUnit)
	if err != nil {
		return false, err.Error(), err
	}
	why = o.missing(u, receipt)
	return why == "", why, nil
}

// missing says what contact lacks; nothing if it was made.
func (o *observation) missing(u systemd.Unit, receipt statefile.Contact) string {
	switch {
	case !runs(u):
		return fmt.Sprintf("%s is %s (%s)", AgentUnit, u.ActiveState, u.SubState)
	case u.InvocationID == o.agentBefore:
		return AgentUnit + " was not restarted"
	case u.InvocationID == "" || receipt.InvocationID != u.InvocationID || receipt.BootID != o.BootID:
		return "the restarted agent did not read its desired state"
	case o.isSpent(receipt):
		why := "the restarted agent had contact, but none since it was asked once more"
		if o.askErr != nil {
			why += ": " + o.askErr.Error()
		}
		return why
	case !receipt.Accepted:
		return fmt.Sprintf("the restarted agent refused its desired state: %s", receipt.Reason)
	}
	return ""
}
