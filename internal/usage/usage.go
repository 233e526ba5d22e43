// Package usage tells a command line that is wrong from one that went wrong, for
// kedge and kedge-agent alike.
package usage

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

// An Error is a wrong command line: nothing was done.
type Error struct{ Err error }

// Error implements error.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an [*Error] for a command line that cobra found right.
func Errorf(format string, args ...any) error {
	return &Error{Err: fmt.Errorf(format, args...)}
}

// Execute carries out the command line of root. What cobra finds wrong is an
// [*Error] that names root's help.
func Execute(ctx context.Context, root *cobra.Command) error {
	understood := false // arguments and flags were in order; a command runs
	root.PersistentPreRun = func(*cobra.Command, []string) { understood = true }
	err := root.ExecuteContext(ctx)
	if err != nil && !understood {
		return Errorf("%w\nTry '%s --help'", err, root.Name())
	}
	return err
}
