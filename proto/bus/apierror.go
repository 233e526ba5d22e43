package bus

import (
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

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
	// Unbegun says that nothing was done, and that the same call may be made again at
	// once, whatever it asks for.
	Unbegun bool
}

// unbegunHeader is set in an answer that reports an unbegun call.
const unbegunHeader = "Kedge-Unbegun"

// Errorf returns an APIError with a formatted message.
func Errorf(code Code, format string, args ...any) *APIError {
	return &APIError{Code: code, Message: fmt.Sprintf(format, args...)}
}

// unbegun returns an APIError with a formatted message, of a call that might have been
// begun at another time.
func unbegun(format string, args ...any) *APIError {
	return &APIError{Code: CodeUnavailable, Message: fmt.Sprintf(format, args...), Unbegun: true}
}

// Error returns the message.
func (e *APIError) Error() string { return e.Message }

// answer returns the message that reports e to who waits at reply.
func (e *APIError) answer(reply string) *nats.Msg {
	m := nats.NewMsg(reply)
	m.Header.Set(micro.ErrorCodeHeader, string(e.Code))
	m.Header.Set(micro.ErrorHeader, oneLine(e.Message))
	if e.Unbegun {
		m.Header.Set(unbegunHeader, "true")
	}
	return m
}

// reported returns the failure that m reports, or nil.
func reported(m *nats.Msg) error {
	code := m.Header.Get(micro.ErrorCodeHeader)
	if code == "" {
		return nil
	}
	return &APIError{Code: Code(code), Message: m.Header.Get(micro.ErrorHeader), Unbegun: m.Header.Get(unbegunHeader) == "true"}
}

// oneLine makes s fit for a header, which is one line and not empty.
func oneLine(s string) string {
	lines := strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' })
	if len(lines) == 0 {
		return "unknown error"
	}
	return strings.Join(lines, "; ")
}
