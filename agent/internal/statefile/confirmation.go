package statefile

import (
	"path/filepath"
	"time"

	"kedge/internal/durable"
)

// A Confirmation says that one deployment may go on, whatever holds it back. It
// ends with the boot, as vetoes do.
type Confirmation struct {
	Deployment string    `json:"deployment"` // its ID
	By         string    `json:"by,omitempty"`
	At         time.Time `json:"at"`
}

// Confirmation returns the last one; the zero value if there is none.
func (d Dir) Confirmation() (Confirmation, error) { return read(d.confirmation()) }

// Confirm replaces the confirmation.
func (d Dir) Confirm(c Confirmation) error { return d.confirmation().Write(c) }

func (d Dir) confirmation() durable.Document[Confirmation] {
	return durable.Document[Confirmation]{Path: filepath.Join(d.Runtime, confirmationFile), Format: format1}
}
