package rollout

import (
	"time"

	"kedge/internal/spec"
)

// A gate is what keeps a wave from going on, until at, if that is known.
type gate struct {
	wait Wait
	at   time.Time
	why  string
}

// gate returns what keeps anybody in wave from being published to, whoever it is.
func (v view) gate(wave Wave) gate {
	if v.State == Reverting {
		return gate{}
	}
	if why := v.frozen(); why != "" {
		return gate{wait: WaitFrozen, why: why}
	}
	if why := v.hush(); why != "" {
		return gate{wait: WaitSilent, why: why}
	}
	if v.unapproved(wave) {
		return gate{wait: WaitApproval, why: wave.Name}
	}
	if ws := wave.Windows; !ws.Open(v.now) && (wave.Started.IsZero() || ws.Overrun == spec.Pause) {
		return gate{wait: WaitWindow, at: ws.Next(v.now)}
	}
	if !v.Own.IsZero() && wave.has(v.Own) && v.atWork() > 0 { // such as who was held until now
		return gate{wait: WaitInFlight, why: wave.Name}
	}
	return gate{}
}

// unapproved reports whether wave waits for a person.
func (v view) unapproved(wave Wave) bool {
	return v.Approval && v.Approved.At.IsZero() || wave.Approval && wave.Approved.At.IsZero() && wave.Started.IsZero()
}

// frozen returns why nothing new goes out, or nothing.
func (v view) frozen() string {
	if v.fleet.Frozen != "" {
		return v.fleet.Frozen
	}
	return v.Freeze
}
