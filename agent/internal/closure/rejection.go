package closure

import (
	"errors"

	"kedge/proto"
)

// A Rejection says, in one word of the closed list, why a toplevel cannot be
// had or used here. The running system was not touched.
type Rejection struct { //nolint:errname // a rejection is what it is called everywhere
	Reason proto.Reason
	Err    error
}

// Error returns the cause's text.
func (e *Rejection) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Rejection) Unwrap() error { return e.Err }

// reasonFor returns the reason of a rejection, or that of any other error.
func reasonFor(err error) proto.Reason {
	if r, ok := errors.AsType[*Rejection](err); ok {
		return r.Reason
	}
	return proto.ReasonFetchFailed
}
