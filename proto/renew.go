package proto

import (
	"fmt"
	"time"
)

// MaxRenew limits a request for credentials that are valid for longer, and its
// reply, in bytes.
const MaxRenew = 8 << 10

// maxInstance limits the name of a machine, in bytes.
const maxInstance = 64

// A RenewRequest says on its [RenewSubject] who a host is, and asks for credentials
// that are valid for longer if those that it has are not for long. Asking again is
// harmless.
type RenewRequest struct {
	Format    int       `json:"format"`
	PublicKey string    `json:"public_key"`       // of the credentials that the host has
	Expires   time.Time `json:"expires,omitzero"` // when those do; zero is never
	// Instance tells the machine from another one that has the same name.
	Instance string `json:"instance,omitempty"`
}

// Encode returns r as JSON.
func (r RenewRequest) Encode() ([]byte, error) {
	r.Format = Format1
	return encode("renewal request", r)
}

// ParseRenewRequest parses b. Errors wrap [ErrOversized], [ErrUnknownFormat] or
// [ErrMalformed].
func ParseRenewRequest(b []byte) (RenewRequest, error) {
	var r RenewRequest
	if err := decode("renewal request", b, MaxRenew, &r); err != nil {
		return RenewRequest{}, err
	}
	switch {
	case r.PublicKey == "":
		return RenewRequest{}, fmt.Errorf("renewal request: %w: public_key is required", ErrMalformed)
	case len(r.Instance) > maxInstance:
		return RenewRequest{}, fmt.Errorf("renewal request: %w: instance has %d bytes, at most %d are read", ErrMalformed, len(r.Instance), maxInstance)
	}
	return r, nil
}

// A RenewReply holds credentials, or none if those that the host has are good for
// a while.
type RenewReply struct {
	Format  int       `json:"format"`
	JWT     string    `json:"jwt,omitempty"`
	Expires time.Time `json:"expires,omitzero"` // when it does; zero is never
}

// Encode returns r as JSON.
func (r RenewReply) Encode() ([]byte, error) {
	r.Format = Format1
	return encode("renewal reply", r)
}

// ParseRenewReply parses b. Errors wrap [ErrOversized], [ErrUnknownFormat] or
// [ErrMalformed].
func ParseRenewReply(b []byte) (RenewReply, error) {
	var r RenewReply
	if err := decode("renewal reply", b, MaxRenew, &r); err != nil {
		return RenewReply{}, err
	}
	return r, nil
}
