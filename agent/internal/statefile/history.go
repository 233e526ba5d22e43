package statefile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"kedge/agent/internal/deployment"
	"kedge/internal/durable"
	"kedge/proto"
)

// HistoryLimit is how many ended deployments a host remembers.
const HistoryLimit = 50

// A Past is a deployment that ended.
type Past struct {
	proto.DeploymentStatus
	Attempt int    `json:"attempt"`
	Steps   []Step `json:"steps"`
}

// A Step is a phase that a past deployment entered.
type Step struct {
	Phase  proto.Phase  `json:"phase"`
	Time   time.Time    `json:"time"`
	Reason proto.Reason `json:"reason,omitempty"`
}

// NewPast returns d as it is remembered.
func NewPast(d deployment.Deployment) Past {
	p := Past{DeploymentStatus: d.Status(), Attempt: d.Attempt}
	for _, s := range d.History {
		p.Steps = append(p.Steps, Step{Phase: s.Phase, Time: s.Time, Reason: s.Reason})
	}
	return p
}

// A History is the deployments that ended last, the newest last.
type History struct {
	Deployments []Past `json:"deployments"`
}

// History returns what is remembered; nothing if nothing ended yet.
func (d Dir) History() (History, error) {
	h, err := read(document[History](d, historyFile))
	if h.Deployments == nil {
		h.Deployments = []Past{} // a list for those who read it as JSON
	}
	return h, err
}

// An UnreadableHistoryError says that the history could not be read and was
// set aside.
type UnreadableHistoryError struct {
	Aside string // the file that it is in now
	Err   error
}

// Error implements error.
func (e *UnreadableHistoryError) Error() string {
	return fmt.Sprintf("the history could not be read, is kept in %s, and begins anew: %v", e.Aside, e.Err)
}

// Unwrap returns why it could not be read.
func (e *UnreadableHistoryError) Unwrap() error { return e.Err }

// Remember adds p to the history, durably, unless it is there, and forgets the
// oldest beyond [HistoryLimit]. Unless it is there, first is called with what was
// remembered before; if that fails, p is not added. If the history cannot be
// understood it begins a new one, and then returns an [*UnreadableHistoryError].
func (d Dir) Remember(p Past, first func(h History) error) error {
	h, err := d.History()
	var unreadable error
	if foreign(err) {
		if unreadable, err = d.setAside(historyFile, err); err == nil {
			h = History{}
		}
	}
	if err != nil {
		return err
	}
	if slices.ContainsFunc(h.Deployments, func(q Past) bool { return q.ID == p.ID }) {
		return unreadable
	}
	if err := first(h); err != nil {
		return errors.Join(unreadable, err)
	}
	h.Deployments = append(h.Deployments, p)
	h.Deployments = h.Deployments[max(0, len(h.Deployments)-HistoryLimit):]
	if err := d.WithReserve(func() error { return document[History](d, historyFile).Write(h) }); err != nil {
		return errors.Join(unreadable, err)
	}
	return unreadable
}

// setAside renames a document that cannot be understood because of why.
func (d Dir) setAside(name string, why error) (unreadable, err error) {
	path := filepath.Join(d.State, name)
	aside := path + ".unreadable"
	if err := os.Rename(path, aside); err != nil {
		return nil, fmt.Errorf("set %s aside: %w", name, errors.Join(why, err))
	}
	return &UnreadableHistoryError{Aside: aside, Err: why}, nil
}

// foreign reports whether err says that a document is torn, or of another
// version.
func foreign(err error) bool {
	if _, torn := errors.AsType[*durable.CorruptError](err); torn {
		return true
	}
	_, other := errors.AsType[*durable.FormatError](err)
	return other
}
