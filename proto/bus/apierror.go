package bus

import "fmt"

// A Code says what kind of failure a call of the operator API ended in.
type Code string

// The codes.
const (
	CodeBadRequest  Code = "bad-request" // not a request at all
	CodeNotFound    Code = "not-found"   // what it names does not exist
	CodeConflict    Code = "conflict"    // something else came first
	CodeRefused     Code = "refused"     // well-formed, and against the rules
	CodeUnavailable Code = "unavailable" // try again later
	CodeInternal    Code = "internal"    // the controller's fault
)

// An APIError is a failure that the other end of a call reported.
type APIError struct {
	Code    Code
	Message string
}

// Errorf returns an APIError with a formatted message.
func Errorf(code Code, format string, args ...any) *APIError {
	return &APIError{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Error returns the message.
func (e *APIError) Error() string { return e.Message }
