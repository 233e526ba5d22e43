package stc

import (
	"errors"
	"fmt"
)

// Exit codes. A caller cannot tell much by them: 1 is any error of the program itself as well as a
// refused check, and codeUnits hides codeActivation.
const (
	codeOK         = 0
	codeError      = 1   // usage, a refused check, the boot loader, the bus
	codeActivation = 2   // the activation script failed; the rest was done
	codeUnits      = 4   // a unit or a job failed; the new system is active
	codeInterface  = 100 // another init interface: takes effect at the next boot
	codePanic      = 101 // nobody reads the output
)

// An exitError ends the program with its code. Whatever there was to say has been said.
type exitError struct{ code int }

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// exitCode is what the process exits with after err, and whether err still has to be printed.
func exitCode(err error) (code int, unsaid bool) {
	if err == nil {
		return codeOK, false
	}
	if e, ok := errors.AsType[exitError](err); ok {
		return e.code, false
	}
	return codeError, true
}
