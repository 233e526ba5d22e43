package rollout

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"kedge/proto"
)

// format1 is the only format of an encoded rollout so far.
const format1 = 1

// A State is how a rollout as a whole stands. Values reach the disk.
type State string

// The states of a rollout.
const (
	Running State = "running"
	Done    State = "done" // every wave has ended
)

// A HostState is how far a rollout has come with one host. Values reach the
// disk.
type HostState string

// The states of a host in a rollout.
const (
	Waiting   HostState = "waiting"   // for its wave
	Published HostState = "published" // its assignment can be read; no verdict yet
	Settled   HostState = "settled"   // it came to a verdict
)

// A Target says which toplevel a host shall get.
type Target struct {
	Host     proto.HostName
	Toplevel proto.StorePath
}

// A Rollout brings a revision to hosts, wave by wave. Values are not changed
// once they are made: [Rollout.Apply] returns another one.
type Rollout struct {
	ID       string                      `json:"id"`
	Revision proto.Revision              `json:"revision,omitzero"`
	Created  time.Time                   `json:"created"`
	Ended    time.Time                   `json:"ended,omitzero"`
	State    State                       `json:"state"`
	Wave     int                         `json:"wave"` // index of the current wave; len(Waves) after the last
	Waves    []Wave                      `json:"waves"`
	Hosts    map[proto.HostName]Progress `json:"hosts"`
}

// A Wave is the hosts that go together. Its members are fixed when the rollout
// is made.
type Wave struct {
	Name    string           `json:"name"`
	Hosts   []proto.HostName `json:"hosts"`          // sorted
	Soak    time.Duration    `json:"soak,omitempty"` // between the last verdict and the wave's end, nanoseconds
	Started time.Time        `json:"started,omitzero"`
	Ended   time.Time        `json:"ended,omitzero"`
}

// has reports whether h goes with the wave.
func (w Wave) has(h proto.HostName) bool {
	_, ok := slices.BinarySearchFunc(w.Hosts, h, proto.HostName.Compare)
	return ok
}

// Progress is how far a rollout has come with one host.
type Progress struct {
	Toplevel proto.StorePath `json:"toplevel"`
	State    HostState       `json:"state"`
	Serial   proto.Serial    `json:"serial,omitempty"` // of the assignment, once published
	Kept     bool            `json:"kept,omitempty"`   // the host had been assigned this toplevel already
	Verdict  proto.Verdict   `json:"verdict,omitempty"`
	Since    time.Time       `json:"since"` // in this state, with this verdict, since
}

// New returns a rollout of targets in one wave, named "all". Of two targets for
// one host the last one counts.
func New(id string, revision proto.Revision, now time.Time, targets []Target) Rollout {
	r := Rollout{
		ID: id, Revision: revision, Created: now, State: Running,
		Hosts: make(map[proto.HostName]Progress, len(targets)),
	}
	for _, t := range targets {
		r.Hosts[t.Host] = Progress{Toplevel: t.Toplevel, State: Waiting, Since: now}
	}
	everybody := slices.SortedFunc(maps.Keys(r.Hosts), proto.HostName.Compare)
	r.Waves = []Wave{{Name: "all", Hosts: everybody}}
	return r
}

// encoded is a rollout on disk or in a bucket.
type encoded struct {
	Format int `json:"format"`
	Rollout
}

// Encode returns r as JSON, with a format number.
func (r Rollout) Encode() ([]byte, error) {
	b, err := json.Marshal(encoded{format1, r})
	if err != nil {
		return nil, fmt.Errorf("encode rollout %s: %w", r.ID, err)
	}
	return b, nil
}

// Parse parses what [Rollout.Encode] returned. Errors wrap
// [proto.ErrUnknownFormat] or [proto.ErrMalformed].
func Parse(b []byte) (Rollout, error) {
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return Rollout{}, fmt.Errorf("rollout: %w: %w", proto.ErrMalformed, err)
	}
	if head.Format != format1 {
		return Rollout{}, fmt.Errorf("rollout: %w %d, this version knows %d", proto.ErrUnknownFormat, head.Format, format1)
	}
	var e encoded
	if err := json.Unmarshal(b, &e); err != nil {
		return Rollout{}, fmt.Errorf("rollout: %w: %w", proto.ErrMalformed, err)
	}
	if err := e.validate(); err != nil {
		return Rollout{}, fmt.Errorf("rollout %s: %w: %w", e.ID, proto.ErrMalformed, err)
	}
	return e.Rollout, nil
}

// validate reports what would make Next or Apply meaningless.
func (r Rollout) validate() error {
	switch r.State {
	case Running, Done:
	default:
		return fmt.Errorf("state %q is not known", r.State)
	}
	if r.Wave < 0 || r.Wave > len(r.Waves) {
		return fmt.Errorf("it is in wave %d of %d", r.Wave, len(r.Waves))
	}
	for _, w := range r.Waves {
		if !slices.IsSortedFunc(w.Hosts, proto.HostName.Compare) {
			return fmt.Errorf("wave %s is not sorted", w.Name)
		}
		for _, h := range w.Hosts {
			if _, ok := r.Hosts[h]; !ok {
				return fmt.Errorf("wave %s names %s, which has no target", w.Name, h)
			}
		}
	}
	for h, p := range r.Hosts {
		switch p.State {
		case Waiting, Published, Settled:
		default:
			return fmt.Errorf("state %q of %s is not known", p.State, h)
		}
	}
	return nil
}
