package agent

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/internal/durable"
	"kedge/proto"
)

// A reportCursor remembers how much of which deployment's history was handed to
// the outbox.
type reportCursor struct {
	file durable.Document[reportedSteps]

	mu   sync.Mutex // guards what follows
	last reportedSteps
	kept reportedSteps // on the disk
	// rests is true if nothing more is to be expected of the deployment soon.
	rests bool
}

type reportedSteps struct {
	Deployment string `json:"deployment"`
	Steps      int    `json:"steps"`
}

func newReportCursor(files statefile.Dir) *reportCursor {
	return &reportCursor{file: durable.Document[reportedSteps]{Path: filepath.Join(files.State, "reported.json"), Format: 1}}
}

// read reads what an earlier process remembered, unless this one knows better; c.mu
// is held. What cannot be understood is as for [statefile.Remembered].
func (c *reportCursor) read() error {
	if c.last.Deployment != "" {
		return nil
	}
	last, err := statefile.Remembered(c.file)
	if err != nil {
		return err
	}
	c.last, c.kept = last, last
	return nil
}

// has reports whether it is known that every step of d was handed on.
func (c *reportCursor) has(d deployment.Deployment) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(d.History) == 0 || c.last.Deployment == d.ID && c.last.Steps >= len(d.History)
}

// resting reports whether what was handed on may be kept.
func (c *reportCursor) resting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rests
}

// reportSteps lends the steps of d that are new to the outbox: they are in the record,
// until [Agent.keepSteps]. After a crash before that a step may go out twice, under
// the same id.
func (a *Agent) reportSteps(d deployment.Deployment) error {
	c := a.reported
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := a.beginAnew(c.read()); err != nil {
		return err
	}
	if c.last.Deployment != d.ID && len(d.History) > 0 {
		c.last = reportedSteps{Deployment: d.ID}
	}
	if c.last.Steps >= len(d.History) {
		ring(a.told) // maybe it is only known now
		return nil
	}
	for ; c.last.Steps < len(d.History); c.last.Steps++ {
		s := d.History[c.last.Steps]
		if err := a.Outbox.Lend(proto.Event{
			ID:         fmt.Sprintf("%s-%d", d.ID, c.last.Steps),
			Host:       a.Config.Host,
			Time:       s.Time,
			Deployment: d.ID,
			Serial:     d.Serial,
			Revision:   d.Revision,
			Toplevel:   d.Toplevel,
			Phase:      s.Phase,
			Reason:     s.Reason,
			Message:    s.Message,
			Failed:     s.Failed,
		}); err != nil {
			return err
		}
	}
	c.rests = d.Terminal() || d.Phase == proto.PhaseStaged
	if d.Terminal() {
		a.change(func(v *view) {
			v.deployments[d.Phase.Verdict()]++
			if why, back := d.WentBack(); back {
				v.rollbacks[why]++
			}
		})
	}
	ring(a.report)
	return nil
}

// keepSteps makes durable what was lent to the outbox and is not delivered yet, and
// how far that goes: the record is not needed for it any more.
func (a *Agent) keepSteps() error {
	c := a.reported
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == c.kept {
		return nil
	}
	if err := a.Outbox.Keep(); err != nil {
		return err
	}
	if err := c.file.Write(c.last); err != nil {
		return err
	}
	c.kept = c.last
	return nil
}

// beginAnew has an event tell of a file that was set aside because of err: nothing but
// that is forgotten. Any other err it returns.
func (a *Agent) beginAnew(err error) error {
	aside, is := errors.AsType[*statefile.AsideError](err)
	if !is {
		return err
	}
	a.Log.Warn("a file could not be understood, and begins anew", "err", aside)
	return a.note(proto.Event{Reason: proto.ReasonStateUnreadable, Message: aside.Error()})
}

// letGo keeps what was not reported of d: its record goes.
func (a *Agent) letGo(d deployment.Deployment) error {
	if err := a.reportSteps(d); err != nil {
		return err
	}
	return a.keepSteps()
}
