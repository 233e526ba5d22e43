package closure

import "kedge/proto"

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
