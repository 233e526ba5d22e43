package controller

import "time"

// Bounds of how long credentials are valid. They are renewed once half of that is
// over, and a host that was off for longer than the rest has to ask over HTTP.
const minCredentials, maxCredentials = time.Hour, 5 * 365 * 24 * time.Hour

// An EnrollConfig says how hosts get credentials.
type EnrollConfig struct {
	Lifetime time.Duration `config:"lifetime"` // of a host's credentials, which renew themselves
}

func defaultEnroll() EnrollConfig { return EnrollConfig{Lifetime: 30 * 24 * time.Hour} }

// problems reports everything that is wrong with c.
func (c EnrollConfig) problems() []error {
	return []error{between("enroll.lifetime", c.Lifetime, minCredentials, maxCredentials)}
}
