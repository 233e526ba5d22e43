package statefile

import (
	"path/filepath"

	"kedge/internal/durable"
)

// A specialised says that the host ran, in that boot, in the specialisation that
// it shall run in.
type specialised struct {
	BootID string `json:"boot_id"`
}

// Specialised reports whether that was noted in the boot called id.
func (d Dir) Specialised(id string) (bool, error) {
	s, err := read(d.specialised())
	return s.BootID == id, err
}

// NoteSpecialised notes it. It ends with the boot.
func (d Dir) NoteSpecialised(id string) error {
	return d.specialised().Write(specialised{BootID: id})
}

func (d Dir) specialised() durable.Document[specialised] {
	return durable.Document[specialised]{Path: filepath.Join(d.Runtime, specialisedFile), Format: format1}
}
