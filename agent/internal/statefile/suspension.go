package statefile

import (
	"strings"
	"time"
)

// A Suspension keeps the agent from beginning a deployment, across reboots. The
// zero value is none.
type Suspension struct {
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until,omitzero"` // zero: until it is lifted
	Reason string    `json:"reason,omitempty"`
	By     string    `json:"by,omitempty"` // who said so
}

// InForce reports whether s counts at now. It does at any time before its end:
// what a wrong clock says is no reason to begin anything.
func (s Suspension) InForce(now time.Time) bool {
	return !s.Since.IsZero() && (s.Until.IsZero() || now.Before(s.Until))
}

// String says by whom, until when, and why.
func (s Suspension) String() string {
	var parts []string
	if s.By != "" {
		parts = append(parts, "by "+s.By)
	}
	if !s.Until.IsZero() {
		parts = append(parts, "until "+s.Until.UTC().Format(time.RFC3339))
	}
	text := strings.Join(parts, " ")
	if text != "" && s.Reason != "" {
		text += ": "
	}
	return text + s.Reason
}

// Suspension returns the last one, in force or over; the zero value if there is
// none.
func (d Dir) Suspension() (Suspension, error) {
	return read(document[Suspension](d, suspensionFile))
}

// Suspend replaces the suspension durably.
func (d Dir) Suspend(s Suspension) error {
	return d.WithReserve(func() error { return document[Suspension](d, suspensionFile).Write(s) })
}

// Resume ends the suspension durably, also one that cannot be read. It is no
// error if there is none.
func (d Dir) Resume() error { return document[Suspension](d, suspensionFile).Remove() }
