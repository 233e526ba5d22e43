package proto

import (
	"fmt"
	"slices"
	"time"
)

// A Status is everything that a host says about itself, now. Each one replaces
// the one before.
type Status struct {
	Format int       `json:"format"`
	Host   HostName  `json:"host"`
	Time   time.Time `json:"time"`    // the host's clock
	Agent  string    `json:"agent"`   // version of the agent
	BootID string    `json:"boot_id"` // of the running kernel
	// Serial is that of the newest assignment that the host accepted.
	Serial Serial `json:"serial,omitempty"`
	// Floor is the highest serial that the host ever accepted: it takes none below it.
	Floor Serial `json:"floor,omitempty"`
	// Refused is that of the newest assignment if it was refused; zero if none was, or
	// none came with a trusted signature.
	Refused Serial  `json:"refused,omitempty"`
	Systems Systems `json:"systems"`
	// Deployment is the current or the last one.
	Deployment DeploymentStatus `json:"deployment,omitzero"`
	Conditions []Condition      `json:"conditions,omitempty"`
	// Trust is what the configuration of the running agent trusts.
	Trust TrustStatus `json:"trust,omitzero"`
	// Challenge is what a [Reset] has to name; empty unless the host waits for one.
	Challenge string `json:"challenge,omitempty"`
}

// Systems names the toplevels of one host. They differ while a deployment is
// under way, and when something is wrong.
type Systems struct {
	Current  StorePath `json:"current,omitzero"`  // /run/current-system
	Booted   StorePath `json:"booted,omitzero"`   // /run/booted-system
	Profile  StorePath `json:"profile,omitzero"`  // what the system profile names
	Proven   StorePath `json:"proven,omitzero"`   // the last committed system, the rollback target
	Revision Revision  `json:"revision,omitzero"` // of the proven system
	// Generation is the number that the system profile names.
	Generation Generation `json:"generation,omitempty"`
	// Specialisation is the name of the one of Profile that Current is; empty if it
	// is none.
	Specialisation string `json:"specialisation,omitempty"`
}

// Toplevel returns the toplevel that runs: Current, or what Current is a
// specialisation of.
func (s Systems) Toplevel() StorePath {
	if s.Specialisation != "" {
		return s.Profile
	}
	return s.Current
}

// A DeploymentStatus is one deployment as its host reports it. The zero value
// means that there never was one.
type DeploymentStatus struct {
	ID       string    `json:"id,omitempty"`
	Serial   Serial    `json:"serial,omitempty"` // of the assignment
	Toplevel StorePath `json:"toplevel,omitzero"`
	Revision Revision  `json:"revision,omitzero"`
	// Specialisation is the name of the one of Toplevel that it makes run.
	Specialisation string  `json:"specialisation,omitempty"`
	Phase          Phase   `json:"phase,omitempty"`
	Verdict        Verdict `json:"verdict,omitempty"`
	// Way is how the toplevel is brought into effect: "switch", "test",
	// "dry-activate", "boot", "reboot" or "hold"; empty until that is known.
	Way     string       `json:"way,omitempty"`
	Reason  Reason       `json:"reason,omitempty"`
	Message string       `json:"message,omitempty"`
	Started time.Time    `json:"started,omitzero"`
	Since   time.Time    `json:"since,omitzero"` // in this phase since
	Failed  []FailedUnit `json:"failed,omitempty"`
	// Reboot names what of the toplevel takes effect with a reboot only, such as
	// "kernel".
	Reboot []string `json:"reboot,omitempty"`
	// Checks are the results at the end of the new system's probation.
	Checks []CheckResult `json:"checks,omitempty"`
}

// A CheckResult is how one declared check went when it was last tried.
type CheckResult struct {
	Name     string        `json:"name"`
	Passed   bool          `json:"passed"`
	Required bool          `json:"required"`
	Message  string        `json:"message,omitempty"`  // why it did not pass
	Time     time.Time     `json:"time,omitzero"`      // the host's clock; zero if it was not tried
	Duration time.Duration `json:"duration,omitempty"` // of that try, nanoseconds
}

// A FailedUnit is a unit that failed in a deployment and had not failed before.
type FailedUnit struct {
	Name string   `json:"name"`
	Log  []string `json:"log,omitempty"` // its last lines, oldest first
}

// Encode returns s as JSON of at most [MaxStatus] bytes. Where that is too
// little it leaves out the oldest lines of logs, the last of the failed units
// of the checks and of the keys, and the ends of messages: a host is never silent for having much to say.
func (s Status) Encode() ([]byte, error) {
	s.Format = Format1
	return fit("status", MaxStatus, func(budget int) any { return s.shorten(budget) })
}

// shorten returns s with about budget bytes of text.
func (s Status) shorten(budget int) Status {
	s.Deployment.Message = shorten(s.Deployment.Message, budget/4)
	s.Deployment.Failed = shortenUnits(s.Deployment.Failed, budget/4)
	s.Deployment.Checks = shortenChecks(s.Deployment.Checks, budget/2)
	s.Trust = s.Trust.shorten(budget / 8)
	s.Conditions = slices.Clone(s.Conditions)
	for i, c := range s.Conditions {
		s.Conditions[i].Message = shorten(c.Message, budget/4/len(s.Conditions))
	}
	return s
}

// ParseStatus parses b. Errors wrap [ErrOversized], [ErrUnknownFormat] or
// [ErrMalformed].
func ParseStatus(b []byte) (Status, error) {
	var s Status
	if err := decode("status", b, MaxStatus, &s); err != nil {
		return Status{}, err
	}
	if s.Host.IsZero() {
		return Status{}, fmt.Errorf("status: %w: host is required", ErrMalformed)
	}
	return s, nil
}
