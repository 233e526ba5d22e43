// Package sign makes the signed statements that hosts act on: releases and
// assignments.
//
// The keys are made on first start. They are different keys on purpose: where
// releases are made elsewhere, in CI, the controller holds no release key, and has
// the power to choose among releases and not to make any.
//
// Of each role several keys may sign side by side: that is how one takes the place
// of another while no host is locked out; see docs/keys.md.
package sign

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"kedge/proto"
)

// ErrHoldsNone is wrapped when something needs a release key and none is held.
var ErrHoldsNone = errors.New("this controller holds no release key")

// Options says which keys sign.
type Options struct {
	// Dir holds the key files: "release" and "controller", and those that follow
	// them in a rotation. Required.
	Dir string
	// Name becomes part of the names of new keys. Required.
	Name string
	// NoRelease is for a controller that holds no release key.
	NoRelease bool
	// Trusted are release keys of others, such as CI, whose releases may be
	// assigned too.
	Trusted []proto.PublicKey
	// Threshold is how many release keys must have signed a release; below 1 counts
	// as 1.
	Threshold int
	// Spare are controller keys that are kept elsewhere, and that hosts trust, too.
	Spare []proto.PublicKey
	// Rand makes keys; it defaults to crypto/rand.
	Rand io.Reader
}

// A Signer signs releases and assignments. It is safe for concurrent use.
type Signer struct {
	trusted   []proto.PublicKey
	spare     []proto.PublicKey
	threshold int

	mu         sync.RWMutex // guards what follows
	release    *ring        // nil if it holds no release key
	controller *ring
}

// Open reads the keys, and makes those that do not exist; see [keyfile.Open].
func Open(o Options) (*Signer, error) {
	if o.Dir == "" || o.Name == "" {
		return nil, errors.New("open signing keys: Dir and Name are required")
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	s := &Signer{trusted: o.Trusted, spare: o.Spare, threshold: max(o.Threshold, 1)}
	var err error
	if !o.NoRelease {
		if s.release, err = openRing(o, Release); err != nil {
			return nil, err
		}
	}
	if s.controller, err = openRing(o, Controller); err != nil {
		return nil, err
	}
	return s, nil
}

// ReleaseKeys returns the keys whose releases can be assigned: ours, then those
// of others.
func (s *Signer) ReleaseKeys() []proto.PublicKey {
	return slices.Concat(s.OwnReleaseKeys(), s.trusted)
}

// OwnReleaseKeys returns the keys that sign releases here; none if none is held.
func (s *Signer) OwnReleaseKeys() []proto.PublicKey {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.release == nil {
		return nil
	}
	return s.release.public()
}

// Threshold returns how many release keys must have signed a release.
func (s *Signer) Threshold() int { return s.threshold }

// ControllerKeys returns the keys that sign assignments here.
func (s *Signer) ControllerKeys() []proto.PublicKey {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.controller.public()
}

// SpareKeys returns the keys, kept elsewhere, whose assignments hosts follow, too.
func (s *Signer) SpareKeys() []proto.PublicKey { return slices.Clone(s.spare) }

// OpenRelease verifies a release as a host does.
func (s *Signer) OpenRelease(e proto.Envelope) (proto.Release, error) {
	return proto.OpenRelease(e, s.ReleaseKeys(), s.threshold)
}

// OpenAssignment verifies an assignment, by one of our keys or a spare one.
func (s *Signer) OpenAssignment(e proto.Envelope) (proto.Assignment, error) {
	return proto.OpenAssignment(e, slices.Concat(s.ControllerKeys(), s.spare))
}

// OpenWithdrawals verifies a list of withdrawals as a host does.
func (s *Signer) OpenWithdrawals(e proto.Envelope) (proto.Withdrawals, error) {
	return proto.OpenWithdrawals(e, s.ReleaseKeys())
}

// OpenReset verifies a reset, by one of our keys or a spare one.
func (s *Signer) OpenReset(e proto.Envelope) (proto.Reset, error) {
	return proto.OpenReset(e, slices.Concat(s.ControllerKeys(), s.spare))
}

// Reset signs that a host may accept again; see [proto.Reset].
func (s *Signer) Reset(r proto.Reset) (proto.Envelope, error) {
	r.Issued = r.Issued.UTC().Truncate(time.Second)
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, err := r.Sign(s.controller.secrets()...)
	if err != nil {
		return proto.Envelope{}, fmt.Errorf("sign reset of %s: %w", r.Host, err)
	}
	return e, nil
}

// Release signs r as what we built for a host. The caller vouches for that.
func (s *Signer) Release(r proto.Release) (proto.Envelope, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.release == nil {
		return proto.Envelope{}, fmt.Errorf("sign release of %s: %w", r.Host, ErrHoldsNone)
	}
	e, err := r.Sign(s.release.secrets()...)
	if err != nil {
		return proto.Envelope{}, fmt.Errorf("sign release of %s: %w", r.Host, err)
	}
	return e, nil
}

// An Order says what shall be assigned, and how.
type Order struct {
	Release proto.Envelope // signed by enough of [Signer.ReleaseKeys]
	Serial  proto.Serial   // higher than that of every assignment of the host before
	Issued  time.Time
	Mode    proto.Mode
	Near    []string // caches of others, before Caches
	Caches  []string
	// CacheToken lets the host read from them; zero for none.
	CacheToken proto.CacheToken
}

// Assign signs that the host of a release shall run it, from o.Issued for
// [proto.AssignmentLifetime]. It refuses a release that too few release keys signed.
func (s *Signer) Assign(o Order) (proto.Envelope, error) {
	r, err := s.OpenRelease(o.Release)
	if err != nil {
		return proto.Envelope{}, fmt.Errorf("sign assignment: %w", err)
	}
	return s.assign(proto.Assignment{
		Host:    r.Host,
		Serial:  o.Serial,
		Issued:  o.Issued,
		Release: proto.DigestOf(o.Release.Payload),
		Mode:    o.Mode,
		Near:    o.Near, Caches: o.Caches, CacheToken: o.CacheToken,
	})
}

// Renew signs an assignment of ours anew: the same host, serial, release and
// mode, issued now, with the caches and the token of today. It refuses a second that is
// earlier than before: the clock went back, and hosts would refuse the assignment.
// The old one goes on to count. In the same second hosts take either.
func (s *Signer) Renew(assignment proto.Envelope, issued time.Time, near, caches []string, token proto.CacheToken) (proto.Envelope, error) {
	a, err := s.OpenAssignment(assignment)
	if err != nil {
		return proto.Envelope{}, fmt.Errorf("renew assignment: %w", err)
	}
	if was := a.Issued; issued.UTC().Truncate(time.Second).Before(was) {
		return proto.Envelope{}, fmt.Errorf("renew assignment %s of %s: it was issued %s, and the clock says %s: check the controller's clock",
			a.Serial, a.Host, was.Format(time.RFC3339), issued.UTC().Format(time.RFC3339))
	}
	a.Issued, a.Near, a.Caches, a.CacheToken = issued, near, caches, token
	return s.assign(a)
}

// assign signs a. Whole seconds in UTC are enough, and read well.
func (s *Signer) assign(a proto.Assignment) (proto.Envelope, error) {
	a.Issued = a.Issued.UTC().Truncate(time.Second)
	a.Expires = a.Issued.Add(proto.AssignmentLifetime)
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, err := a.Sign(s.controller.secrets()...)
	if err != nil {
		return proto.Envelope{}, fmt.Errorf("sign assignment %s of %s: %w", a.Serial, a.Host, err)
	}
	return e, nil
}
