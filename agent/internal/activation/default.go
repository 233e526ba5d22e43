package activation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kedge/proto"
)

// defaultTimeout bounds one run with mode boot: copying many kernels to a slow
// boot partition takes minutes.
const defaultTimeout = 10 * time.Minute

// ErrBusy says that somebody else is switching; nothing was touched, and it is
// worth trying again.
var ErrBusy = errors.New("another switch-to-configuration is running")

// A DefaultError says that the boot default could not be set. What it is then
// is not known, as boot loaders are not written at once.
type DefaultError struct {
	Toplevel proto.StorePath
	ExitCode int    // -1 if it was not started, or ended by a signal
	Message  string // what the program said
	Err      error  // what ended it, ErrBusy, or nil
}

// Error implements error.
func (e *DefaultError) Error() string {
	text := fmt.Sprintf("make %s the boot default", e.Toplevel)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	} else {
		text += fmt.Sprintf(": exit code %d", e.ExitCode)
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

// Unwrap returns what ended it.
func (e *DefaultError) Unwrap() error { return e.Err }

// SetDefault runs toplevel with mode boot, without pre-switch checks. What was
// written is on the disk before that, so that the default never moves to what a
// power cut takes away, and what the boot loader wrote is when it returns nil. A boot
// partition that does not answer is not waited for for ever.
//
// toplevel must be a generation of the system profile: boot loaders list no
// other, and some then leave the default as it was without a word.
// Every error is a [*DefaultError].
func (r Runner) SetDefault(ctx context.Context, toplevel proto.StorePath) error {
	ctx, cancel := context.WithTimeout(ctx, defaultTimeout)
	defer cancel()
	if err := r.sync(ctx); err != nil {
		return &DefaultError{Toplevel: toplevel, ExitCode: -1, Err: err}
	}
	end, err := r.run(ctx, toplevel, modeBoot, true)
	if err != nil {
		return &DefaultError{Toplevel: toplevel, ExitCode: -1, Err: err}
	}
	s := read(end.output)
	failure := &DefaultError{Toplevel: toplevel, ExitCode: end.exitCode, Message: s.lastWords()}
	switch {
	case end.interrupted:
		failure.Err = context.Cause(ctx)
	case end.exitCode < 0:
		failure.Err = fmt.Errorf("killed (%v)", end.signal)
	case end.exitCode == exitLocked || end.exitCode != exitOK && s.locked:
		failure.Err = ErrBusy
		failure.Message += r.holder()
	case end.exitCode == exitOK:
		if failure.Err = r.sync(ctx); failure.Err == nil {
			return nil
		}
	}
	return failure
}
