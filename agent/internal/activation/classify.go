package activation

import (
	"cmp"
	"fmt"
	"strings"
	"syscall"

	"kedge/proto"
)

// A Run is what was observed of one run of switch-to-configuration with mode
// test.
type Run struct {
	Toplevel proto.StorePath // whose program it was
	// Before and After are what /run/current-system named; zero if nothing.
	Before, After proto.StorePath
	ExitCode      int            // -1 if a signal ended it
	Signal        syscall.Signal // what ended it, if one did
	TimedOut      bool           // we ended it, at its deadline
	Output        []string       // lines of stdout and stderr
	Unheard       bool           // there was no room for the output
}

// Exit codes of switch-to-configuration that mean something of their own.
// Others are the errno of what it died of.
const (
	exitOK          = 0
	exitError       = 1
	exitActivate    = 2   // the activation script failed, the rest went on
	exitReload      = 3   // daemon-reload or tmpfiles failed (the Perl program only)
	exitUnits       = 4   // units failed; hides exitActivate
	exitLocked      = 11  // EAGAIN: somebody else has the lock
	exitNeedsReboot = 100 // the init interface differs
	exitPanic       = 101 // of the Rust program
)

// Classify says what a run did. It goes by facts: what runs now, and what the
// program said on its way. Its exit code alone does not tell.
//
// The effect is that of this run. If an earlier run was interrupted, Untouched
// and Busy do not mean that the old system is whole.
func Classify(r Run) Result {
	s := read(r.Output)
	touched := s.touched || r.Unheard || r.Before != r.After
	switch {
	case r.TimedOut:
		return result(Broken, proto.ReasonActivationHung, "switch-to-configuration did not end before its deadline", s)
	case r.ExitCode < 0:
		return result(Partial, proto.ReasonActivationFailed, fmt.Sprintf("switch-to-configuration was killed (%v)", r.Signal), s)
	case r.ExitCode == exitPanic:
		return result(Partial, proto.ReasonActivationFailed, "switch-to-configuration crashed", s)
	case (r.ExitCode == exitOK || r.ExitCode == exitUnits) && !s.scriptFailed && r.After == r.Toplevel:
		return Result{Effect: Active, Message: s.warning()}
	case r.ExitCode == exitOK || r.ExitCode == exitActivate || r.ExitCode == exitReload || r.ExitCode == exitUnits:
		return result(Broken, proto.ReasonActivationFailed, r.brokenBecause(s), s)
	case touched:
		return result(Partial, proto.ReasonActivationFailed, r.ended("in the middle"), s)
	case r.ExitCode == exitLocked || s.locked:
		return result(Busy, proto.ReasonBusy, "another switch-to-configuration is running", s)
	case r.ExitCode == exitNeedsReboot:
		return result(Untouched, proto.ReasonRebootNeeded, "the new system takes effect at a reboot only", s)
	case r.ExitCode == exitError && s.refused:
		return result(Untouched, proto.ReasonCheckRefused, "the new system's pre-switch checks refused", s)
	default:
		return result(Untouched, proto.ReasonActivationFailed, r.ended("before it touched anything"), s)
	}
}

// brokenBecause says why a run that went to its end did not bring the system up.
func (r Run) brokenBecause(s signs) string {
	switch {
	case s.scriptFailed || r.ExitCode == exitActivate:
		return "the activation script failed"
	case r.After != r.Toplevel:
		return fmt.Sprintf("after the activation /run/current-system names %s and not %s", r.After, r.Toplevel)
	default:
		return r.ended("at its end")
	}
}

func (r Run) ended(where string) string {
	return fmt.Sprintf("switch-to-configuration gave up %s with exit code %d", where, r.ExitCode)
}

// result adds the program's own last words to what went wrong.
func result(e Effect, why proto.Reason, what string, s signs) Result {
	return Result{Effect: e, Reason: why, Message: what + ": " + s.lastWords()}
}

// signs is what the output tells, of all versions of the program.
type signs struct {
	touched      bool   // units were stopped or the activation script was begun
	scriptFailed bool   // the activation script failed
	locked       bool   // another one holds the lock
	refused      bool   // a pre-switch check or a switch inhibitor refused
	failedUnits  string // as listed
	told         string // the line that says what went wrong
	last         string // the last line that is not empty
}

// read looks for what the program says on its way. What an activation script
// prints may look alike; a false sign of being touched is harmless, and the
// others count only if nothing was. But that the script failed counts always,
// and of the two programs only the Rust one says so: for the Perl one the script's
// own word is taken. One that prints it of something else has a good system gone
// back from, which is better than to keep a bad one.
func read(output []string) signs {
	var s signs
	for i, line := range output {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		s.last = clip(line)
		switch {
		case strings.HasPrefix(line, "stopping "), strings.HasPrefix(line, "activating the configuration"):
			s.touched = true
		case !s.scriptFailed && strings.HasPrefix(line, "Activation script snippet '") && strings.Contains(line, "' failed ("):
			s.scriptFailed, s.told = true, clip(line) // the first one may be why others fail
		case !s.scriptFailed && strings.HasPrefix(line, "Failed to run activate script"):
			s.scriptFailed, s.told = true, clip(line)
			if i > 0 && strings.TrimSpace(output[i-1]) != "" {
				s.told = clip(strings.TrimSpace(output[i-1])) // the script's own last words
			}
		case strings.HasPrefix(line, "Could not acquire lock"):
			s.locked, s.told = true, clip(line)
		case strings.HasPrefix(line, "Pre-switch check"):
			s.refused = true
			if s.told == "" { // the first names the check, the last only says that there was one
				s.told = clip(line)
			}
		case strings.HasPrefix(line, "There are changes to critical components"):
			s.refused, s.told = true, clip(line)
			if detail := nextLine(output[i+1:]); detail != "" {
				s.told = clip(line + " " + detail)
			}
		case strings.HasPrefix(line, "warning: the following units failed:"):
			s.failedUnits = clip(strings.TrimPrefix(line, "warning: "))
		case strings.HasPrefix(line, "Error:"):
			s.told = clip(line)
		}
	}
	return s
}

// lastWords is the line that says best what went wrong.
func (s signs) lastWords() string { return cmp.Or(s.told, s.last, "it printed nothing") }

// warning is what a system that is active may still have to say.
func (s signs) warning() string { return s.failedUnits }

func nextLine(lines []string) string {
	for _, l := range lines {
		if l = strings.TrimSpace(l); l != "" {
			return l
		}
	}
	return ""
}

// messageLimit is how many bytes of the output's lines go into a message.
const messageLimit = 300

func clip(line string) string {
	if len(line) <= messageLimit {
		return line
	}
	return strings.ToValidUTF8(line[:messageLimit], "") + "…"
}
