package cli

import (
	"errors"
	"fmt"
	"strings"

	"kedge/internal/usage"
)

// The exit codes of kedge.
const (
	ExitOK      = 0 // done
	ExitError   = 1 // something went wrong; nothing is said about hosts
	ExitUsage   = 2 // the command line was wrong; nothing was done
	ExitBadEnd  = 3 // with --wait: a host rolled back, failed, refused, or was given nothing
	ExitTimeout = 4 // with --wait: the time was up before every host was done
)

// ExitCode returns the code that kedge ends with after err.
func ExitCode(err error) int {
	var wrong *usage.Error
	var bad *badEndError
	var late *lateError
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &wrong):
		return ExitUsage
	case errors.As(err, &bad):
		return ExitBadEnd
	case errors.As(err, &late):
		return ExitTimeout
	}
	return ExitError
}

// A badEndError says which hosts ended other than well.
type badEndError struct{ hosts []string }

func (e *badEndError) Error() string {
	return "ended badly: " + strings.Join(e.hosts, ", ")
}

// A lateError says which hosts were not done in time, and how far they were.
type lateError struct {
	waiting []string
	err     error // the last error in between, if any
}

func (e *lateError) Error() string {
	text := "timed out"
	if len(e.waiting) > 0 {
		text += " waiting for " + strings.Join(e.waiting, ", ")
	}
	if e.err != nil {
		text = fmt.Sprintf("%s: %v", text, e.err)
	}
	return text
}

func (e *lateError) Unwrap() error { return e.err }
