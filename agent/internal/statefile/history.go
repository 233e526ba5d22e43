package statefile

import (
	"errors"
	"slices"
	"time"

	"kedge/agent/internal/deployment"
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

// Remember adds p to the history, durably, unless it is there, and forgets the
// oldest beyond [HistoryLimit]. Unless it is there, first is called with what was
// remembered before; if that fails, p is not added. If the history cannot be
// understood it begins a new one, and then returns an [*AsideError].
func (d Dir) Remember(p Past, first func(h History) error) error {
	h, unreadable := Remembered(document[History](d, historyFile))
	if _, anew := errors.AsType[*AsideError](unreadable); unreadable != nil && !anew {
		return unreadable
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
