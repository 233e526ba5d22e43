package sign

import (
	"fmt"
	"slices"
	"time"

	"kedge/proto"
)

// A Role is what keys are for. It is also the name of their first file.
type Role string

// The roles.
const (
	Release    Role = "release"
	Controller Role = "controller"
)

// Add makes a further key of a role. From then on it signs beside the others.
func (s *Signer) Add(role Role) (proto.PublicKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case role == Controller:
		return s.controller.add()
	case role == Release && s.release == nil:
		return proto.PublicKey{}, ErrHoldsNone
	case role == Release:
		return s.release.add()
	}
	return proto.PublicKey{}, fmt.Errorf("add a key: no keys are %q", role)
}

// Retire destroys the secret half of the key of that name. It refuses the last key
// of a role, with [ErrLastKey].
func (s *Signer) Retire(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.release != nil && s.release.has(name) {
		return s.release.retire(name)
	}
	return s.controller.retire(name)
}

// Retired reports whether a key of that name was retired, and signs no more.
func (s *Signer) Retired(name string) (bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, r := range []*ring{s.controller, s.release} {
		if r == nil {
			continue // CI has the release keys
		}
		if retired, err := r.retired(name); retired || err != nil {
			return retired, err
		}
	}
	return false, nil
}

// Stale reports whether one of our keys has not signed what it should have: a
// release that is ours, or the assignment.
func (s *Signer) Stale(d proto.Desired) bool {
	lacks := func(e proto.Envelope, keys []proto.PublicKey) bool {
		return slices.ContainsFunc(keys, func(k proto.PublicKey) bool { return !e.SignedBy(k) })
	}
	return s.ours(d.Release) && lacks(d.Release, s.OwnReleaseKeys()) || lacks(d.Assignment, s.ControllerKeys())
}

// ours reports whether one of our keys signed a release.
func (s *Signer) ours(release proto.Envelope) bool {
	return slices.ContainsFunc(s.OwnReleaseKeys(), release.SignedBy)
}

// Countersign returns a release with the signatures of all our keys, if it has that
// of one of them. Otherwise it returns it as it is.
func (s *Signer) Countersign(release proto.Envelope) proto.Envelope {
	if !s.ours(release) {
		return release
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return release.Countersign(s.release.secrets()...)
}

// CountersignWithdrawals returns a list of withdrawals with the signatures of all our
// release keys, too, if it is one that we take.
func (s *Signer) CountersignWithdrawals(list proto.Envelope) proto.Envelope {
	if _, err := s.OpenWithdrawals(list); err != nil {
		return list
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.release == nil {
		return list
	}
	return list.Countersign(s.release.secrets()...)
}

// Spared reports whether a spare key signed an assignment, and none of ours did,
// and it is still valid: hosts may not trust ours. Once it is not, there is nothing
// to lose by signing it anew.
func (s *Signer) Spared(assignment proto.Envelope, now time.Time) bool {
	if _, err := proto.OpenAssignment(assignment, s.ControllerKeys()); err == nil {
		return false
	}
	a, err := proto.OpenAssignment(assignment, s.spare)
	return err == nil && now.Before(a.Expires)
}
