package nix

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

const (
	// summaryLimit is how many bytes of a command line an error or log shows.
	summaryLimit = 160
	// messageLimit is how many bytes of stderr an error's text shows. The rest
	// is in CommandError.Stderr.
	messageLimit = 1 << 10
)

// A CommandError says that a command could not be started, failed, or was
// stopped because its context ended. In the last case it wraps the context's
// cause.
type CommandError struct {
	Args     []string // Args[0] is the program
	ExitCode int      // -1 if it was not started or ended by a signal
	Stderr   string   // the end of what it wrote there
	Err      error
}

// Error returns the command, how it ended, and the last message of its stderr,
// in one line.
func (e *CommandError) Error() string {
	text := fmt.Sprintf("%s: %v", summary(e.Args), e.Err)
	if m := lastMessage(e.Stderr); m != "" {
		text += ": " + m
	}
	return text
}

// Unwrap returns how the command ended.
func (e *CommandError) Unwrap() error { return e.Err }

// BySelf reports whether the command failed by itself, so that it says best why: it was
// neither stopped nor killed. Nix that is stopped says that the user interrupted it.
func (e *CommandError) BySelf() bool {
	_, exited := errors.AsType[*exec.ExitError](e.Err)
	return exited && e.ExitCode > 0
}

// summary returns the command line, cut where it gets long.
func summary(args []string) string {
	line := strings.Join(args, " ")
	if len(line) <= summaryLimit {
		return line
	}
	return strings.ToValidUTF8(line[:summaryLimit], "") + "…"
}

// lastMessage returns what follows the last "error:" that begins a line of
// stderr, or else its last line, as one line. That nothing came of it, after the
// reason was said, is no message.
func lastMessage(stderr string) string {
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	for len(lines) > 1 && saysNothingCame(lines[len(lines)-1]) {
		lines = lines[:len(lines)-1]
	}
	from := len(lines) - 1
	for i := from; i >= 0; i-- {
		if strings.HasPrefix(strings.TrimSpace(lines[i]), "error:") {
			from = i
			break
		}
	}
	message := strings.Join(strings.Fields(strings.Join(lines[from:], " ")), " ")
	if len(message) > messageLimit {
		message = strings.ToValidUTF8(message[:messageLimit], "") + "…"
	}
	return message
}

// saysNothingCame reports whether a line says no more than that a build or a
// substitution failed; the second one is what Nix 2.34 says.
func saysNothingCame(line string) bool {
	return strings.HasPrefix(line, "warning: build of ") || strings.HasSuffix(line, "is required, but there is no substituter that can build it")
}
