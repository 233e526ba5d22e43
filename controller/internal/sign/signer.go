// Package sign makes the signed statements that hosts act on: releases and
// assignments.
//
// Both keys are made on first start. They are different keys on purpose: where
// releases are made elsewhere, in CI, the controller has the power to choose
// among releases and not to make any.
package sign

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"kedge/internal/keyfile"
	"kedge/proto"
)

// Options says which keys sign.
type Options struct {
	// Dir holds the key files "release" and "controller". Required.
	Dir string
	// Name becomes part of the names of new keys. Required.
	Name string
	// Trusted are release keys of others, such as CI, whose releases may be
	// assigned too.
	Trusted []proto.PublicKey
	// Rand makes keys; it defaults to crypto/rand.
	Rand io.Reader
}

// A Signer signs releases and assignments. It is safe for concurrent use.
type Signer struct {
	release    proto.SecretKey
	controller proto.SecretKey
	trusted    []proto.PublicKey
}

// Open reads the keys, and makes those that do not exist; see [keyfile.Open].
func Open(o Options) (*Signer, error) {
	if o.Dir == "" || o.Name == "" {
		return nil, errors.New("open signing keys: Dir and Name are required")
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	release, err := keyfile.Open(filepath.Join(o.Dir, "release"), "kedge-"+o.Name+"-release-1", o.Rand)
	if err != nil {
		return nil, err
	}
	controller, err := keyfile.Open(filepath.Join(o.Dir, "controller"), "kedge-"+o.Name+"-controller-1", o.Rand)
	if err != nil {
		return nil, err
	}
	return &Signer{release: release, controller: controller, trusted: o.Trusted}, nil
}

// ReleaseKeys returns the keys whose releases can be assigned: ours, then those
// of others.
func (s *Signer) ReleaseKeys() []proto.PublicKey {
	return slices.Concat([]proto.PublicKey{s.release.Public()}, s.trusted)
}

// ControllerKeys returns the keys that sign assignments.
func (s *Signer) ControllerKeys() []proto.PublicKey {
	return []proto.PublicKey{s.controller.Public()}
}

// Release signs r as what we built for a host. The caller vouches for that.
func (s *Signer) Release(r proto.Release) (proto.Envelope, error) {
	e, err := r.Sign(s.release)
	if err != nil {
		return proto.Envelope{}, fmt.Errorf("sign release of %s: %w", r.Host, err)
	}
	return e, nil
}

// An Order says what shall be assigned, and how.
type Order struct {
	Release proto.Envelope // signed by one of [Signer.ReleaseKeys]
	Serial  proto.Serial   // higher than that of every assignment of the host before
	Issued  time.Time
	Mode    proto.Mode
	Caches  []string
}

// Assign signs that the host of a release shall run it, from o.Issued for
// [proto.AssignmentLifetime]. It refuses a release that no release key signed.
func (s *Signer) Assign(o Order) (proto.Envelope, error) {
	r, err := proto.OpenRelease(o.Release, s.ReleaseKeys(), 1)
	if err != nil {
		return proto.Envelope{}, fmt.Errorf("sign assignment: %w", err)
	}
	return s.assign(proto.Assignment{
		Host:    r.Host,
		Serial:  o.Serial,
		Issued:  o.Issued,
		Release: proto.DigestOf(o.Release.Payload),
		Mode:    o.Mode,
		Caches:  o.Caches,
	})
}

// Renew signs an assignment of ours anew: the same host, serial, release and
// mode, issued now, with the caches of today. It refuses an instant that is not
// later than before: the clock went back, and hosts would refuse the assignment.
// The old one goes on to count.
func (s *Signer) Renew(assignment proto.Envelope, issued time.Time, caches []string) (proto.Envelope, error) {
	a, err := proto.OpenAssignment(assignment, s.ControllerKeys())
	if err != nil {
		return proto.Envelope{}, fmt.Errorf("renew assignment: %w", err)
	}
	if was := a.Issued; !issued.UTC().Truncate(time.Second).After(was) {
		return proto.Envelope{}, fmt.Errorf("renew assignment %s of %s: it was issued %s, and the clock says %s: check the controller's clock",
			a.Serial, a.Host, was.Format(time.RFC3339), issued.UTC().Format(time.RFC3339))
	}
	a.Issued, a.Caches = issued, caches
	return s.assign(a)
}

// assign signs a. Whole seconds in UTC are enough, and read well.
func (s *Signer) assign(a proto.Assignment) (proto.Envelope, error) {
	a.Issued = a.Issued.UTC().Truncate(time.Second)
	a.Expires = a.Issued.Add(proto.AssignmentLifetime)
	e, err := a.Sign(s.controller)
	if err != nil {
		return proto.Envelope{}, fmt.Errorf("sign assignment %s of %s: %w", a.Serial, a.Host, err)
	}
	return e, nil
}
