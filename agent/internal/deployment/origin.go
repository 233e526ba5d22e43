package deployment

import "kedge/proto"

// An Origin says who wanted a deployment. The zero value is the controller, by
// an assignment.
type Origin string

// The origins. All but the first have no assignment: Serial and Release are zero.
const (
	OriginAssignment Origin = ""
	OriginHand       Origin = "by-hand" // somebody on the host
	OriginDrift      Origin = "drift"   // the agent: what was proven did not run any more
)

// Ordered reports whether d is of an assignment.
func (d Deployment) Ordered() bool { return d.Origin == OriginAssignment }

// ByHand reports whether somebody on the host wanted d.
func (d Deployment) ByHand() bool { return d.Origin == OriginHand }

// A Previous is the system that was proven before another one.
type Previous struct {
	Toplevel   proto.StorePath  `json:"toplevel"`
	Generation proto.Generation `json:"generation,omitempty"`
	Revision   proto.Revision   `json:"revision,omitzero"`
}

// Before returns p as what was proven before another system.
func (p Proven) Before() Previous {
	return Previous{Toplevel: p.Toplevel, Generation: p.Generation, Revision: p.Revision}
}

// Left reports whether the commit of d means that somebody on the host does not
// want the system any more that was proven before.
func (d Deployment) Left() bool { return d.ByHand() && !d.Restore }

// Previous returns what one goes back to from d's system, once it is committed:
// not to one that somebody went back from.
func (d Deployment) Previous() Previous {
	if d.Left() {
		return Previous{}
	}
	if d.Respecialises() {
		return d.Proven.Previous
	}
	return d.Proven.Before()
}
