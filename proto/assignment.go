package proto

import (
	"fmt"
	"net/url"
	"slices"
	"time"
)

// How long an assignment is valid, and when the controller signs it anew.
// Freshness is thus per host: nobody in between can hold one host back
// unnoticed for longer than AssignmentLifetime.
const (
	AssignmentLifetime = 24 * time.Hour
	AssignmentRenewal  = 6 * time.Hour
)

// An Assignment says that a host shall run a release now. The controller's key
// signs it.
type Assignment struct {
	Format  int       `json:"format"`
	Host    HostName  `json:"host"`
	Serial  Serial    `json:"serial"`  // higher than that of every assignment before
	Issued  time.Time `json:"issued"`  // later each time it is signed anew under its serial
	Expires time.Time `json:"expires"` // nothing is started after this instant
	Release Digest    `json:"release"` // of the release's payload
	Mode    Mode      `json:"mode,omitempty"`
	Near    []string  `json:"near,omitempty"`   // URLs to fetch from first, of caches that are not the controller's
	Caches  []string  `json:"caches,omitempty"` // URLs to fetch from next, before those that the host knows itself
	// CacheToken lets the host read from Caches, and is shown to nobody else. Zero
	// where they ask for none.
	CacheToken CacheToken `json:"cache_token,omitzero"`
}

// Sign returns a in an envelope, signed by every key.
func (a Assignment) Sign(keys ...SecretKey) (Envelope, error) {
	a.Format = Format1
	if err := a.validate(); err != nil {
		return Envelope{}, err
	}
	b, err := encode("assignment", a)
	if err != nil {
		return Envelope{}, err
	}
	return Seal(PayloadAssignment, b, keys...), nil
}

// OpenAssignment verifies e, by any one of the trusted keys, and returns the
// assignment in it; see [Envelope.Open]. Whether it is meant for this host,
// now, is for [Desired.Verify] to say.
func OpenAssignment(e Envelope, trusted []PublicKey) (Assignment, error) {
	b, err := e.Open(PayloadAssignment, trusted, 1)
	if err != nil {
		return Assignment{}, fmt.Errorf("assignment: %w", err)
	}
	var a Assignment
	if err := decode("assignment", b, MaxDesired, &a); err != nil {
		return Assignment{}, err
	}
	return a, a.validate()
}

func (a Assignment) validate() error {
	if a.Host.IsZero() || a.Serial == 0 || a.Release.IsZero() || a.Issued.IsZero() || !a.Expires.After(a.Issued) {
		return fmt.Errorf("assignment: %w: host, serial, release, issued and a later expires are required", ErrMalformed)
	}
	for _, c := range a.From() {
		if err := ValidateCacheURL(c); err != nil {
			return fmt.Errorf("assignment: %w: %w", ErrMalformed, err)
		}
	}
	return nil
}

// From returns the URLs to fetch from, in order.
func (a Assignment) From() []string { return slices.Concat(a.Near, a.Caches) }

// ValidateCacheURL reports why s cannot be the URL of a binary cache that
// hosts fetch from, or nil.
func ValidateCacheURL(s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return fmt.Errorf("cache %q: %w", s, err)
	}
	switch u.Scheme {
	case "http", "https":
	default:
		return fmt.Errorf("cache %q: must be an http or https URL", s)
	}
	if u.Host == "" || u.User != nil {
		return fmt.Errorf("cache %q: must name a host, and no user", s)
	}
	if u.RawQuery != "" || u.Fragment != "" {
		// Nix reads settings from there, such as where to write what it reads.
		return fmt.Errorf("cache %q: must have no query and no fragment", s)
	}
	return nil
}
