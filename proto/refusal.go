package proto

import (
	"errors"
	"fmt"
)

// A RefusalError says why a desired state was not accepted.
type RefusalError struct {
	Reason Reason // one of [RefusalReasons]; an agent has reasons of its own beside them
	Serial Serial // of the assignment; zero if none came with a trusted signature
	Err    error
}

// Error returns the cause's text.
func (e *RefusalError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *RefusalError) Unwrap() error { return e.Err }

func refuse(r Reason, format string, args ...any) error {
	return &RefusalError{Reason: r, Err: fmt.Errorf(format, args...)}
}

// RefusalOf returns err, such as one of [ParseDesired], as a *[RefusalError]
// with its reason. One that is in err already is returned.
func RefusalOf(err error) *RefusalError {
	if e, ok := errors.AsType[*RefusalError](err); ok {
		return e
	}
	return &RefusalError{Reason: refusalReason(err), Err: err}
}

func refusalReason(err error) Reason {
	switch {
	case errors.Is(err, ErrOversized):
		return ReasonOversized
	case errors.Is(err, ErrUnknownFormat):
		return ReasonUnknownFormat
	case errors.Is(err, ErrUnknownKey):
		return ReasonUnknownKey
	case errors.Is(err, ErrBadSignature):
		return ReasonBadSignature
	default:
		return ReasonMalformed
	}
}
