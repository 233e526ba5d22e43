package proto

import (
	"fmt"
	"time"
)

// A LeaseAction is what a host asks for on its [LeaseSubject].
type LeaseAction string

// The actions.
const (
	LeaseAcquire LeaseAction = "acquire" // leave to reboot
	LeaseRelease LeaseAction = "release" // the reboot is over, or will not be
)

// UnmarshalText refuses an action that is not known.
func (a *LeaseAction) UnmarshalText(b []byte) error {
	v, err := parseEnum("lease action", b, []LeaseAction{LeaseAcquire, LeaseRelease})
	if err != nil {
		return err
	}
	*a = v
	return nil
}

// Limits of what is said about leases, in bytes.
const (
	MaxLease           = 2 << 10 // a request, or its reply
	MaxLeaseDeployment = 256     // the ID in a request
)

// A LeaseRequest asks for a reboot lease, or gives it back. A lease belongs to a
// host, which is the one of the subject: a host that has one is granted it again,
// whatever for, and giving back what it has not is no failure.
type LeaseRequest struct {
	Format     int         `json:"format"`
	Action     LeaseAction `json:"action"`
	Deployment string      `json:"deployment,omitempty"` // ID of what the reboot is for, to be shown
}

// Encode returns r as JSON.
func (r LeaseRequest) Encode() ([]byte, error) {
	r.Format = Format1
	return encode("lease request", r)
}

// ParseLeaseRequest parses b. Errors wrap [ErrOversized], [ErrUnknownFormat] or
// [ErrMalformed].
func ParseLeaseRequest(b []byte) (LeaseRequest, error) {
	var r LeaseRequest
	if err := decode("lease request", b, MaxLease, &r); err != nil {
		return LeaseRequest{}, err
	}
	switch {
	case r.Action == "":
		return LeaseRequest{}, fmt.Errorf("lease request: %w: action is required", ErrMalformed)
	case len(r.Deployment) > MaxLeaseDeployment:
		return LeaseRequest{}, fmt.Errorf("lease request: %w: deployment has %d bytes, at most %d are read", ErrMalformed, len(r.Deployment), MaxLeaseDeployment)
	}
	return r, nil
}

// A LeaseReply says whether a host has a lease now. It names no other host: hosts
// do not learn of one another.
type LeaseReply struct {
	Format  int  `json:"format"`
	Granted bool `json:"granted"`
	// Since is when the host got the lease that it has.
	Since time.Time `json:"since,omitzero"`
	// Expires is from when on others may get the place of the host if it does not
	// ask again; zero is never.
	Expires time.Time `json:"expires,omitzero"`
	// Reason and Message say why a lease that was asked for is not granted, and
	// are empty otherwise.
	Reason  Reason `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

// Encode returns r as JSON of at most [MaxLease] bytes, its message shortened if
// it must be.
func (r LeaseReply) Encode() ([]byte, error) {
	r.Format = Format1
	return fit("lease reply", MaxLease, func(budget int) any {
		short := r
		short.Message = shorten(r.Message, budget)
		return short
	})
}

// ParseLeaseReply parses b. Errors wrap [ErrOversized], [ErrUnknownFormat] or
// [ErrMalformed].
func ParseLeaseReply(b []byte) (LeaseReply, error) {
	var r LeaseReply
	if err := decode("lease reply", b, MaxLease, &r); err != nil {
		return LeaseReply{}, err
	}
	return r, nil
}

// A LeaseListRequest asks who may reboot now.
type LeaseListRequest struct{}

// A LeaseListReply says who has a reboot lease, the oldest first.
type LeaseListReply struct {
	Slots  int           `json:"slots"` // how many hosts may have one at a time
	Leases []LeaseHolder `json:"leases"`
}

// A LeaseHolder is a host that has a reboot lease.
type LeaseHolder struct {
	Host       HostName  `json:"host"`
	Deployment string    `json:"deployment,omitempty"` // ID of what the reboot is for
	Since      time.Time `json:"since"`
	Expires    time.Time `json:"expires,omitzero"` // as in a LeaseReply
	// Seen and Silent are as in a [HostView].
	Seen   time.Time `json:"seen,omitzero"`
	Silent bool      `json:"silent"`
}

// A LeaseFreeRequest takes the lease of a host that will not give it back. It may be
// repeated.
type LeaseFreeRequest struct {
	Host HostName `json:"host"`
}

// A LeaseFreeReply is the lease that was taken; zero if the host had none already.
type LeaseFreeReply struct {
	Freed LeaseHolder `json:"freed,omitzero"`
}
