package controller

import (
	"errors"
	"slices"
	"strings"

	"kedge/controller/internal/build"
	"kedge/controller/internal/source"
	"kedge/internal/nix"
	"kedge/proto"
)

// sourceReasons are what [sourceReason] returns.
func sourceReasons() []proto.Reason {
	return []proto.Reason{
		proto.ReasonSourceUnreachable, proto.ReasonNoBranch, proto.ReasonNoFlake, proto.ReasonNoConfigurations,
		proto.ReasonBadSpec, proto.ReasonBadHostName, proto.ReasonEvalFailed, proto.ReasonBuildFailed, proto.ReasonNotAToplevel,
		proto.ReasonDiskFull, proto.ReasonRetrying, proto.ReasonTwoChannels, proto.ReasonUnsigned, proto.ReasonForcePushed, proto.ReasonNoSubmodule, proto.ReasonNoBuilder, proto.ReasonNoBuildHost,
	}
}

// hostReasons are why the newest revision does not reach a host.
func hostReasons() []proto.Reason {
	return []proto.Reason{
		proto.ReasonNotInRevision, proto.ReasonEvalFailed, proto.ReasonBuildFailed, proto.ReasonNotAToplevel,
		proto.ReasonDiskFull, proto.ReasonWithdrawn, proto.ReasonGone, proto.ReasonRetrying, proto.ReasonTwoChannels, proto.ReasonNoBuilder,
		proto.ReasonPaused, proto.ReasonHalted, proto.ReasonAborted, proto.ReasonReverted,
	}
}

// sourceReason says in a word why the source could not be looked at, or its newest
// revision not published whole.
func sourceReason(err error) proto.Reason {
	if missed, ok := errors.AsType[*missedError](err); ok {
		return missed.reason()
	}
	if flake, ok := errors.AsType[*build.FlakeError](err); ok {
		return flake.Reason()
	}
	if rollouts, ok := errors.AsType[*build.SpecError](err); ok {
		return rollouts.Reason()
	}
	switch {
	case nix.DiskFull(err):
		return proto.ReasonDiskFull
	case errors.Is(err, source.ErrNoBranch):
		return proto.ReasonNoBranch
	case errors.Is(err, source.ErrUnsigned):
		return proto.ReasonUnsigned
	case errors.Is(err, source.ErrForcePushed):
		return proto.ReasonForcePushed
	case errors.Is(err, source.ErrNoFlake):
		return proto.ReasonNoFlake
	case errors.Is(err, source.ErrSubmodule):
		return proto.ReasonNoSubmodule
	case errors.Is(err, nix.ErrUnreachable):
		return proto.ReasonNoBuildHost
	case errors.Is(err, source.ErrUnreachable):
		return proto.ReasonSourceUnreachable
	case errors.Is(err, errBuild):
		return proto.ReasonBuildFailed
	}
	return proto.ReasonRetrying
}

// A missedError says what of a revision was not published, while the rest was.
type missedError struct {
	names []*build.NameError // of what cannot be a host
	hosts []*build.HostError // sorted
}

// Error implements error. Why a host was missed is its own [proto.Problem].
func (e *missedError) Error() string {
	var parts []string
	if len(e.hosts) > 0 {
		var hosts []proto.HostName
		for _, h := range e.hosts {
			hosts = append(hosts, h.Host)
		}
		parts = append(parts, "not published for "+hostNames(hosts))
	}
	for _, n := range e.names {
		parts = append(parts, n.Error())
	}
	return strings.Join(parts, "; ")
}

// reason is that of a name, which is shown nowhere else, or of the first host.
func (e *missedError) reason() proto.Reason {
	if len(e.names) > 0 {
		return proto.ReasonBadHostName
	}
	return e.hosts[0].Reason
}

// count returns how much was missed.
func (e *missedError) count() int { return len(e.names) + len(e.hosts) }

// unbuilt reports whether a host was missed that is not just in dispute.
func (e *missedError) unbuilt() bool {
	return slices.ContainsFunc(e.hosts, func(h *build.HostError) bool { return h.Reason != proto.ReasonTwoChannels })
}

// errBuild is in errors about the toplevels of all hosts together.
var errBuild = errors.New("no toplevels")
