package rollout

import (
	"slices"
	"time"

	"kedge/internal/spec"
	"kedge/proto"
)

// A State is how a rollout as a whole stands. Values reach the disk.
type State string

// The states of a rollout.
const (
	Running    State = "running"
	Paused     State = "paused"     // by a person; takes verdicts, and publishes nothing
	Halted     State = "halted"     // by a broken budget; likewise
	Reverting  State = "reverting"  // those who went get back what they had before
	Done       State = "done"       // every wave has ended
	Reverted   State = "reverted"   // everybody who is not held was given back what they had before
	Aborted    State = "aborted"    // a person ended it; hosts stay where they are
	Superseded State = "superseded" // another rollout took its place
)

// Ended reports whether a rollout in state s is over: nothing happens any more
// unless a person reverts it, or lets go of who was held while others went back.
func (s State) Ended() bool {
	switch s {
	case Done, Reverted, Aborted, Superseded:
		return true
	case Running, Paused, Halted, Reverting:
	}
	return false
}

// from returns the states from which s may be entered.
func (s State) from() []State {
	switch s {
	case Running:
		return []State{Paused, Halted}
	case Paused, Halted, Done:
		return []State{Running}
	case Reverting:
		return []State{Running, Paused, Halted, Done, Aborted, Reverted}
	case Reverted:
		return []State{Reverting}
	case Aborted, Superseded:
		return []State{Running, Paused, Halted, Reverting}
	}
	return nil
}

// An Act is who did something, when, and why.
type Act struct {
	By  string    `json:"by,omitempty"` // an operator; empty for the controller itself
	At  time.Time `json:"at"`
	Why string    `json:"why,omitempty"`
}

// A Rollout brings a revision to hosts, wave by wave. Values are not changed
// once they are made: [Rollout.Apply] and the acts return others.
type Rollout struct {
	ID       string         `json:"id"`
	Channel  string         `json:"channel,omitempty"`
	Revision proto.Revision `json:"revision,omitzero"`
	// Instead is the revision that a person went back from to this one, and which does
	// not go out any more; zero if nobody did.
	Instead proto.Revision `json:"instead,omitzero"`
	Created time.Time      `json:"created"`
	Seen    time.Time      `json:"seen,omitzero"` // when the revision was first seen at its source; zero if that is not known
	Latency Latency        `json:"latency,omitzero"`
	State   State          `json:"state"`
	Entered Act            `json:"entered,omitzero"` // how it came into State; zero if it has been running all the time
	Own     proto.HostName `json:"own,omitzero"`     // the controller's own host, which goes alone and last
	// Approval is true if a person has to approve of the rollout before anything is
	// published; Approved who did.
	Approval    bool                        `json:"approval,omitempty"`
	Approved    Act                         `json:"approved,omitzero"`
	Freeze      string                      `json:"freeze,omitempty"`       // why the spec lets nothing new out; empty if it does
	SilentAfter time.Duration               `json:"silent_after,omitempty"` // nanoseconds; zero if silence is nothing to charge
	MaxSilent   spec.Amount                 `json:"max_silent,omitzero"`    // of the hosts that could be heard; zero if all may be
	OnBroken    spec.Reaction               `json:"on_broken_budget,omitempty"`
	Wave        int                         `json:"wave"` // index of the current wave; len(Waves) after the last
	Waves       []Wave                      `json:"waves"`
	Hosts       map[proto.HostName]Progress `json:"hosts"`
}

// A Wave is hosts that go together. Hosts are whom the spec selects until the wave
// starts, and its members from then on; sorted. With Rest they are, at the start,
// all who have not gone by then, but for the controller's own host.
type Wave struct {
	Name  string           `json:"name"`
	Rest  bool             `json:"rest,omitempty"`
	Hosts []proto.HostName `json:"hosts"`

	// Canary is how many hosts go before the others, or else which: those of the
	// canary's selector until the wave starts, and the chosen ones from then on;
	// sorted.
	CanarySize spec.Amount      `json:"canary_size,omitzero"`
	Canary     []proto.HostName `json:"canary,omitempty"`
	CanarySoak time.Duration    `json:"canary_soak,omitempty"` // nanoseconds

	MaxInFlight spec.Amount   `json:"max_in_flight,omitzero"`
	Soak        time.Duration `json:"soak,omitempty"` // from the last change of a host to the wave's end, nanoseconds
	Approval    bool          `json:"approval,omitempty"`
	Approved    Act           `json:"approved,omitzero"`
	Budget      spec.Budget   `json:"budget,omitzero"`
	Windows     spec.Windows  `json:"windows,omitzero"`

	Started time.Time `json:"started,omitzero"`
	Widened time.Time `json:"widened,omitzero"` // when the others may follow the canary; zero without one
	Ended   time.Time `json:"ended,omitzero"`
}

// has reports whether h goes with the wave.
func (w Wave) has(h proto.HostName) bool { return contains(w.Hosts, h) }

// canarying reports whether only the canary may go.
func (w Wave) canarying() bool { return len(w.Canary) > 0 && w.Widened.IsZero() }

// stage returns who may go.
func (w Wave) stage() []proto.HostName {
	if w.canarying() {
		return w.Canary
	}
	return w.Hosts
}

// contains reports whether h is one of sorted.
func contains(sorted []proto.HostName, h proto.HostName) bool {
	_, ok := slices.BinarySearchFunc(sorted, h, proto.HostName.Compare)
	return ok
}

// limit returns how many of w's hosts may be at work at a time, where that is
// limited.
func (w Wave) limit() int { return max(1, w.MaxInFlight.Of(len(w.Hosts))) }
