package proto

import (
	"fmt"
	"time"
)

// An Event is one thing that happened on a host. Events are kept, in order,
// and may arrive twice: ID tells.
type Event struct {
	Format     int          `json:"format"`
	ID         string       `json:"id"` // unique on its host
	Host       HostName     `json:"host"`
	Time       time.Time    `json:"time"` // the host's clock
	Deployment string       `json:"deployment,omitempty"`
	Serial     Serial       `json:"serial,omitempty"`
	Revision   Revision     `json:"revision,omitzero"`
	Toplevel   StorePath    `json:"toplevel,omitzero"`
	Phase      Phase        `json:"phase,omitempty"` // entered, where the event is a step of a deployment
	Reason     Reason       `json:"reason,omitempty"`
	Message    string       `json:"message,omitempty"`
	Failed     []FailedUnit `json:"failed,omitempty"`
}

// Encode returns e as JSON of at most [MaxEvent] bytes, shortened as
// [Status.Encode] does where that is too little.
func (e Event) Encode() ([]byte, error) {
	e.Format = Format1
	return fit("event", MaxEvent, func(budget int) any {
		e := e
		e.Message = shorten(e.Message, budget/2)
		e.Failed = shortenUnits(e.Failed, budget/2)
		return e
	})
}

// ParseEvent parses b. Errors wrap [ErrOversized], [ErrUnknownFormat] or
// [ErrMalformed].
func ParseEvent(b []byte) (Event, error) {
	var e Event
	if err := decode("event", b, MaxEvent, &e); err != nil {
		return Event{}, err
	}
	if e.Host.IsZero() || e.ID == "" {
		return Event{}, fmt.Errorf("event: %w: host and id are required", ErrMalformed)
	}
	return e, nil
}
