package cli

import (
	"errors"
	"fmt"

	"kedge/agent/internal/control"
	"kedge/internal/usage"
)

// The exit codes, but for those of a command that [inhibit] ran.
const (
	ExitOK      = 0 // done
	ExitError   = 1 // something went wrong
	ExitUsage   = 2 // the command line was wrong; nothing was done
	ExitBadEnd  = 3 // with --wait: the host did not come to what it shall, or nobody knows what that is; check: not all is well
	ExitTimeout = 4 // with --wait: the time was up before that was decided
	ExitNothing = 5 // there is nothing to do it to
)

// ExitCodes says so to people.
const ExitCodes = `Exit codes: 0 done; 1 something went wrong; 2 wrong usage, nothing was done;
3 (--wait) the host did not come to what it shall, or nobody knows what that is, (check)
not all is well; 4 (--wait) the time was up; 5 there is nothing to do it to.`

// ExitCode returns the code to end with after err.
func ExitCode(err error) int {
	var wrong *usage.Error
	var bad *badEndError
	var ended *endedError
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &wrong):
		return ExitUsage
	case errors.As(err, &bad):
		return ExitBadEnd
	case errors.Is(err, errLate):
		return ExitTimeout
	case errors.Is(err, control.ErrNothing):
		return ExitNothing
	case errors.As(err, &ended):
		return ended.code
	}
	return ExitError
}

// Message returns what to tell the user about err; nothing if the command that
// was run has done so.
func Message(err error) string {
	if _, said := errors.AsType[*endedError](err); said {
		return ""
	}
	return err.Error()
}

// errLate says that the time of a wait was up.
var errLate = errors.New("timed out")

// A badEndError says why a host is not as it shall be.
type badEndError struct{ why string }

func (e *badEndError) Error() string { return e.why }

// An endedError is the end of a command that was run for the user.
type endedError struct{ code int }

func (e *endedError) Error() string { return fmt.Sprintf("exit code %d", e.code) }
