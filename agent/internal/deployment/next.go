//go:build next

package deployment

import (
	"slices"

	"kedge/proto"
)

// MarshalJSON implements [json.Marshaler]: as a later version writes a record,
// with a first step that enters no phase, and a reason to commit.
func (d Deployment) MarshalJSON() ([]byte, error) {
	type plain Deployment
	if len(d.History) > 0 && d.History[0].Phase != proto.PhaseNone {
		note := Step{Time: d.Started, Reason: proto.ReasonUnheardOf, Message: "a step that enters no phase"}
		d.History = slices.Insert(slices.Clone(d.History), 0, note)
	}
	if d.Phase == proto.PhaseCommitted && d.Reason == "" {
		d.Reason = proto.ReasonUnheardOf
	}
	return proto.MarshalNext(plain(d))
}

// MarshalJSON implements [json.Marshaler].
func (p Proven) MarshalJSON() ([]byte, error) {
	type plain Proven
	return proto.MarshalNext(plain(p))
}
