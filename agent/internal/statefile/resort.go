package statefile

import "time"

// A Resort says that there is nothing more to resort to after a deployment that
// left the host without contact. The zero value is of none.
type Resort struct {
	Deployment string `json:"deployment"` // its ID
	// Rebooted is when the host began to reboot for it; zero if there was contact, or
	// it is not known yet whether it does.
	Rebooted time.Time `json:"rebooted,omitzero"`
}

// Resort returns the last one.
func (d Dir) Resort() (Resort, error) { return read(document[Resort](d, resortFile)) }

// SaveResort replaces it durably.
func (d Dir) SaveResort(r Resort) error {
	return d.WithReserve(func() error { return document[Resort](d, resortFile).Write(r) })
}
