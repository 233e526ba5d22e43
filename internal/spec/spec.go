package spec

import (
	"slices"
	"time"

	"kedge/internal/window"
	"kedge/proto"
)

// Names of waves that no spec writes down.
const (
	// AllWave is the one wave of a fleet whose spec has none.
	AllWave = "all"
	// RestWave is the last wave, of the hosts that no other wave has.
	RestWave = "rest"
)

// A Spec is what a fleet's flake says about its rollouts. The zero value is that
// of a flake without the output: every host goes at once, and nothing stops a
// rollout.
//
// As JSON, which state files hold, durations are nanoseconds; it is not what
// [Parse] takes.
type Spec struct {
	Hosts   map[proto.HostName]Host `json:"hosts,omitempty"` // those that it says something about
	Sites   map[string]Site         `json:"sites,omitempty"`
	Rollout Rollout                 `json:"rollout,omitzero"`
}

// A Host is what a spec says about one host.
type Host struct {
	Tags   []string `json:"tags,omitempty"`   // sorted, each once
	Caches []string `json:"caches,omitempty"` // URLs
	Hold   string   `json:"hold,omitempty"`   // why the host gets nothing new; empty if it does
}

// A Site is hosts that have binary caches near them.
type Site struct {
	Hosts  Selector `json:"hosts"`
	Caches []string `json:"caches,omitempty"` // URLs
}

// A Rollout says how a revision goes across the fleet. Budget and Windows are
// those of every wave that has none of its own.
type Rollout struct {
	Waves  []Wave `json:"waves,omitempty"` // in order; empty for one wave of all
	Budget Budget `json:"budget,omitzero"`
	// SilentAfter is how long an online host may say nothing about its assignment;
	// zero for as long as it likes.
	SilentAfter    time.Duration `json:"silent_after,omitempty"`
	MaxSilent      Amount        `json:"max_silent,omitzero"`        // of the hosts that could be heard; with more, nobody else goes
	OnBrokenBudget Reaction      `json:"on_broken_budget,omitempty"` // empty where no budget can break
	Windows        Windows       `json:"windows,omitzero"`
	Approval       bool          `json:"approval,omitempty"` // a person has to promote a rollout before its first wave
	Freeze         string        `json:"freeze,omitempty"`   // why nothing new goes out; empty if it does
}

// A Wave is hosts that go together, once the waves before it are through. A host
// goes with the first wave that selects it.
type Wave struct {
	Name        string        `json:"name"` // a label, and no other wave's
	Hosts       Selector      `json:"hosts"`
	Canary      Canary        `json:"canary,omitzero"`
	MaxInFlight Amount        `json:"max_in_flight,omitzero"` // hosts at work at a time, at least one; zero for all
	Soak        time.Duration `json:"soak,omitempty"`         // from the last verdict to the next wave
	Approval    bool          `json:"approval,omitempty"`     // a person has to promote the rollout before the wave
	Budget      *Budget       `json:"budget,omitempty"`       // whole, with what the rollout's says where it says nothing; nil for the rollout's
	Windows     *Windows      `json:"windows,omitempty"`      // likewise
}

// A Canary is those hosts of a wave that go before its others: Size of them,
// rounded up, or those that Hosts selects. The zero value is none.
type Canary struct {
	Size  Amount        `json:"size,omitzero"`
	Hosts Selector      `json:"hosts,omitzero"`
	Soak  time.Duration `json:"soak,omitempty"` // from the canary's last verdict to the other hosts
}

// IsZero reports whether c is none.
func (c Canary) IsZero() bool { return c.Size.IsZero() && c.Hosts.IsZero() }

// A Budget bounds what may go wrong in a wave. An amount that is not given
// bounds nothing.
type Budget struct {
	Failed  Amount `json:"failed,omitzero"`  // at most as many failed, rounded down
	Silent  Amount `json:"silent,omitzero"`  // at most as many online hosts said nothing, rounded down
	Success Amount `json:"success,omitzero"` // at least as many have to succeed, rounded up
}

// Windows say when hosts may be published to: while one of Allow is open, or
// always if there is none, and none of Deny is.
type Windows struct {
	Allow   window.Windows `json:"allow,omitempty"`
	Deny    window.Windows `json:"deny,omitempty"`
	Overrun Overrun        `json:"overrun,omitempty"` // empty where there are no windows
}

// Open reports whether hosts may be published to at t.
func (w Windows) Open(t time.Time) bool {
	return w.Allow.Open(t) && !slices.ContainsFunc(w.Deny, func(d window.Window) bool { return d.Open(t) })
}

// A Reaction is what becomes of a rollout whose budget is broken.
type Reaction string

// The reactions to a broken budget.
const (
	Halt   Reaction = "halt"   // nobody else goes
	Revert Reaction = "revert" // those who went go back
)

// An Overrun is what becomes of a wave that is under way when its window closes.
type Overrun string

// What becomes of a wave whose window closes.
const (
	Finish Overrun = "finish" // its hosts go
	Pause  Overrun = "pause"  // no other host of it goes before a window opens
)

// Match reports whether sel selects h, with the tags that s gives it.
func (s Spec) Match(sel Selector, h proto.HostName) bool { return sel.Match(h, s.Hosts[h].Tags) }
