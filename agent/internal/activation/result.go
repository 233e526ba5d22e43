package activation

import "kedge/proto"

// An Effect is what an activation did to the system.
type Effect string

// The effects of an activation.
const (
	Active    Effect = "active"    // the new system runs; its units are to be judged
	Untouched Effect = "none"      // refused before anything was touched
	Busy      Effect = "busy"      // somebody else is switching; nothing was touched
	Partial   Effect = "partial"   // interrupted or broken in the middle: run it once more
	Broken    Effect = "broken"    // it ran to its end, and the new system does not run as it should
	Unstarted Effect = "unstarted" // it could not even be started
)

// A Result is what came of one activation.
type Result struct {
	Effect  Effect
	Reason  proto.Reason // why, unless Active
	Message string
}
