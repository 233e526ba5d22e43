package controller

import (
	"fmt"
	"time"

	"kedge/controller/internal/lease"
)

// maxConcurrent is how many hosts may reboot together at most: their leases are one
// value in NATS.
const maxConcurrent = 1000

// Bounds of how old leases may get: a reboot has to fit in.
const minLease, maxLease = 10 * time.Minute, 30 * 24 * time.Hour

// A RebootConfig bounds how many hosts reboot together. Each has a lease while it
// does, which it gets before and gives back after it has proved itself.
type RebootConfig struct {
	MaxConcurrent int `config:"max_concurrent"` // how many hosts may have a lease at a time
	// LeaseMaxAge is how long after a host asked for its lease another one may get
	// its place; 0 means never. A host that broke then stops no others any more.
	LeaseMaxAge time.Duration `config:"lease_max_age"`
}

// problems reports everything that is wrong with c.
func (c RebootConfig) problems() []error {
	var problems []error
	if c.MaxConcurrent < 1 || c.MaxConcurrent > maxConcurrent {
		problems = append(problems, fmt.Errorf("reboot.max_concurrent: must be from 1 to %d, got %d", maxConcurrent, c.MaxConcurrent))
	}
	if c.LeaseMaxAge != 0 {
		problems = append(problems, between("reboot.lease_max_age", c.LeaseMaxAge, minLease, maxLease))
	}
	return problems
}

func (c RebootConfig) rules() lease.Rules {
	return lease.Rules{Slots: c.MaxConcurrent, MaxAge: c.LeaseMaxAge}
}
