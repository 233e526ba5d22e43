package build

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"kedge/internal/nix"
	"kedge/proto"
)

// messageLimit bounds what an error keeps of Nix's output, in bytes. Errors
// become part of the fleet view, which travels over the bus.
const messageLimit = 2 << 10

var errNoHosts = errors.New("there are no hosts in it")

// A FlakeError says that nothing of a flake can be evaluated.
type FlakeError struct {
	Ref     string
	Missing string // what the flake lacks; empty if it is something else
	Err     error
}

// Error implements error.
func (e *FlakeError) Error() string {
	if e.Missing != "" {
		return fmt.Sprintf("evaluate %s: the flake has no %s: %v", e.Ref, e.Missing, e.Err)
	}
	return fmt.Sprintf("evaluate %s: %v", e.Ref, e.Err)
}

// Unwrap returns the cause.
func (e *FlakeError) Unwrap() error { return e.Err }

// Reason returns why, in a word.
func (e *FlakeError) Reason() proto.Reason {
	switch {
	case nix.DiskFull(e.Err):
		return proto.ReasonDiskFull
	case e.Missing == attribute:
		return proto.ReasonNoConfigurations
	case e.Missing == flakeFile:
		return proto.ReasonNoFlake
	}
	return proto.ReasonEvalFailed
}

// A NameError says that a name in the flake cannot be the name of a host.
type NameError struct {
	Name string
	Err  error
}

// Error implements error.
func (e *NameError) Error() string {
	return fmt.Sprintf("%s.%q is left out: %v", attribute, e.Name, e.Err)
}

// Unwrap returns the cause.
func (e *NameError) Unwrap() error { return e.Err }

// A HostError says why there is no toplevel for one host.
type HostError struct {
	Host   proto.HostName
	Reason proto.Reason
	Err    error
}

// NewHostError returns why there is no toplevel for a host: for want of room, or of a
// machine that builds for its system, if err says so, and else for reason.
func NewHostError(host proto.HostName, reason proto.Reason, err error) *HostError {
	switch {
	case nix.DiskFull(err):
		reason = proto.ReasonDiskFull
	case reason == proto.ReasonBuildFailed && nix.NoBuilder(err):
		reason = proto.ReasonNoBuilder
	}
	return &HostError{Host: host, Reason: reason, Err: err}
}

// Error implements error. It does not begin with the host's name: it is shown
// beside it.
func (e *HostError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *HostError) Unwrap() error { return e.Err }

// Problem returns e as it is told to operators.
func (e *HostError) Problem(revision proto.Revision, now time.Time) proto.Problem {
	return proto.Problem{Reason: e.Reason, Message: cut(e.Error()), Revision: revision, Time: now}
}

// explain returns err with the whole of what Nix says is wrong, instead of the
// command line. Where Nix was stopped, err says why, and Nix does not know.
func explain(err error) error {
	var failed *nix.CommandError
	if !errors.As(err, &failed) || !failed.BySelf() {
		return err
	}
	_, said, found := strings.Cut("\n"+failed.Stderr, "\nerror:")
	if !found {
		return err
	}
	return &saidError{text: cut(unindent(said)), err: err}
}

// explainText is explain for what Nix said and a command passed on.
func explainText(said string) error {
	return errors.New(cut(unindent(strings.TrimPrefix(strings.TrimSpace(said), "error:"))))
}

// A saidError is an error in Nix's own words.
type saidError struct {
	text string
	err  error
}

func (e *saidError) Error() string { return e.text }
func (e *saidError) Unwrap() error { return e.err }

// unindent returns text without white space at either end of its lines, and
// without empty lines.
func unindent(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// cut shortens text to the limit. The end stays: that is where Nix, and most
// builders, say what is wrong.
func cut(text string) string {
	if len(text) <= messageLimit {
		return text
	}
	return "…" + strings.ToValidUTF8(text[len(text)-messageLimit:], "")
}
