package statefile

import (
	"fmt"
	"path/filepath"
	"time"

	"kedge/agent/internal/deployment"
	"kedge/internal/durable"
	"kedge/proto"
)

// A Stuck is a transaction that cannot go on, and tries again and again: it must not
// give up. It is a file in the runtime directory, as the disk may be what is in its
// way. The zero value is none.
type Stuck struct {
	Deployment string      `json:"deployment"` // its ID; empty if the record cannot be read
	Phase      proto.Phase `json:"phase"`
	Tries      int         `json:"tries"` // in a row
	Since      time.Time   `json:"since,omitzero"`
	Message    string      `json:"message"` // what the last try failed for
	// Undone is zero unless a deployment goes back whatever its record says.
	Undone Undone `json:"undone,omitzero"`
}

// An Undone is a deployment whose record could not be saved, so that what was proven was
// activated without it.
type Undone struct {
	Deployment string `json:"deployment"` // its ID
	Message    string `json:"message"`    // why the record could not be saved
}

// Again returns s after another try for d failed because of err, now. In another
// phase one begins to count anew; what is undone stays so.
func (s Stuck) Again(d deployment.Deployment, err error, now time.Time) Stuck {
	if s.Deployment != d.ID || s.Phase != d.Phase || s.Tries == 0 {
		s = Stuck{Deployment: d.ID, Phase: d.Phase, Since: now, Undone: s.Undone}
	}
	s.Tries++
	s.Message = err.Error()
	return s
}

// String says what cannot be done, and since when.
func (s Stuck) String() string {
	undone := ""
	if s.Undone.Deployment != "" {
		undone = "what was proven is brought back without the record; "
	}
	return fmt.Sprintf("%stried %d times since %s: %s", undone, s.Tries, s.Since.UTC().Format(time.RFC3339), s.Message)
}

// Stuck returns what is known of the transaction that runs.
func (d Dir) Stuck() (Stuck, error) { return read(d.stuck()) }

// SaveStuck replaces what is known.
func (d Dir) SaveStuck(s Stuck) error {
	if s.Tries == 0 {
		return d.stuck().Remove()
	}
	return d.stuck().Write(s)
}

func (d Dir) stuck() durable.Document[Stuck] {
	return durable.Document[Stuck]{Path: filepath.Join(d.Runtime, stuckFile), Format: format1}
}
