package rollout

import (
	"fmt"

	"kedge/proto"
)

// A Kind says what an action does. Only Publish has an effect outside the
// rollout.
type Kind string

// The kinds of actions.
const (
	StartWave Kind = "start-wave" // with Hosts as its members, of which Canary go first
	Publish   Kind = "publish"    // assign Host its Toplevel, durably, and let it know
	Keep      Kind = "keep"       // Host was assigned Toplevel already, as Serial
	Renew     Kind = "renew"      // Host says something of what it was assigned, which was signed anew as Serial
	Settle    Kind = "settle"     // Host came to Verdict
	Doubt     Kind = "doubt"      // Host came to what it tries again after, or out of it
	Defer     Kind = "defer"      // Host has waited for something of its own for long enough
	Silence   Kind = "silence"    // Host said nothing for too long
	Redraw    Kind = "redraw"     // Canary go before the others, too: nobody of it showed anything
	Widen     Kind = "widen"      // the others of the wave follow its canary
	EndWave   Kind = "end-wave"
	Halt      Kind = "halt"   // a budget is broken, as Why says
	Revert    Kind = "revert" // likewise, and who went goes back
	Finish    Kind = "finish" // the last wave has ended
)

// An Action is one thing to do now. Fields that its kind does not name are
// zero.
type Action struct {
	Kind     Kind            `json:"kind"`
	Wave     int             `json:"wave"` // the current one
	Host     proto.HostName  `json:"host,omitzero"`
	Toplevel proto.StorePath `json:"toplevel,omitzero"`
	// Release is the one to publish Toplevel under, by its payload's digest, where a
	// host is given back what it had; zero otherwise.
	Release proto.Digest     `json:"release,omitzero"`
	Before  Assigned         `json:"before,omitzero"`  // of Publish: what Host goes back to from Toplevel
	Offline bool             `json:"offline,omitzero"` // of Publish and Keep: Host cannot be heard now; of Silence: nor could it before
	Serial  proto.Serial     `json:"serial,omitempty"`
	Verdict proto.Verdict    `json:"verdict,omitempty"`
	Hosts   []proto.HostName `json:"hosts,omitempty"`  // sorted
	Canary  []proto.HostName `json:"canary,omitempty"` // sorted
	Why     string           `json:"why,omitempty"`
}

// subject names what a is about.
func (a Action) subject() string {
	if a.Host.IsZero() {
		return fmt.Sprintf("wave %d", a.Wave)
	}
	return a.Host.String()
}

// A Result is an action that was carried out.
type Result struct {
	Action Action
	Serial proto.Serial // of the assignment, if the action is a Publish
}
