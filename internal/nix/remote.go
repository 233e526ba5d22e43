package nix

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"kedge/internal/command"
	"kedge/proto"
)

// ErrUnreachable is wrapped by errors that say that another machine cannot be
// reached, or was lost in the middle. It has nothing to do with what was to be built.
var ErrUnreachable = errors.New("the build host cannot be reached")

// A Remote is a [CLI] whose builds are made on another machine and then copied to the
// local store, which is where everything else looks. Evaluations stay here.
type Remote struct {
	*CLI
	Host SSHStore
}

// Prepare returns nil: what is missing is only known once it is known what to realise.
func (r *Remote) Prepare(context.Context, RealiseOptions) *Prepared { return nil }

// Realise is [CLI.Realise] on the build host. It copies the derivations there, builds
// them, and copies what became of o.Outputs here; nothing goes to o.CopyTo. What is
// here already is not asked for. An error that wraps [ErrUnreachable] says nothing
// about the derivations.
func (r *Remote) Realise(ctx context.Context, o RealiseOptions) error {
	missing, err := r.Invalid(ctx, o.Outputs...)
	if err != nil || len(missing) == 0 {
		return err
	}
	var derivations []proto.StorePath
	for i, out := range o.Outputs {
		if slices.Contains(missing, out) {
			derivations = append(derivations, o.Derivations[i])
		}
	}
	err = r.copyFrom(ctx, o, builtBy(derivations))
	if err == nil || ctx.Err() != nil || errors.Is(err, ErrUnreachable) {
		return err
	}
	return errors.Join(err, r.bring(ctx, o, missing))
}

// bring copies those of paths that the build host has.
func (r *Remote) bring(ctx context.Context, o RealiseOptions, paths []proto.StorePath) error {
	there := r.Host.over(r.CLI)
	there.Settings = append(slices.Clone(r.Settings), Setting{"store", r.Host.store()})
	lacking, err := there.Invalid(ctx, paths...)
	if err != nil {
		return r.lost(err)
	}
	has := slices.DeleteFunc(slices.Clone(paths), func(p proto.StorePath) bool { return slices.Contains(lacking, p) })
	if len(has) == 0 {
		return nil
	}
	return r.copyFrom(ctx, o, texts(has))
}

// copyFrom copies installables from the build host, which builds what it lacks.
func (r *Remote) copyFrom(ctx context.Context, o RealiseOptions, installables []string) error {
	args := []string{"copy", "--from", r.Host.store(), "--eval-store", "auto", "--no-check-sigs"}
	if o.KeepGoing {
		args = append(args, "--keep-going")
	}
	settings := append(o.settings(), Setting{"extra-experimental-features", "nix-command"})
	return r.lost(r.Host.over(r.CLI).logged(ctx, o.Log, "nix", args, installables, settings...))
}

// lost returns err, or what says that the build host is not there if that is its
// reason: then it is said at the end, and what a build got over is not.
func (r *Remote) lost(err error) error {
	failed, ok := errors.AsType[*CommandError](err)
	if !ok || !failed.BySelf() {
		return err
	}
	end := command.Tail{Limit: stderrLimit}
	_, _ = end.Write([]byte(failed.Stderr)) // it never fails
	for line := range strings.Lines(end.String()) {
		if strings.HasPrefix(strings.TrimSpace(line), ">") {
			continue // a builder may say anything
		}
		if slices.ContainsFunc(lostWords(), func(words string) bool { return strings.Contains(line, words) }) {
			return fmt.Errorf("%w: %s: %w", ErrUnreachable, r.Host.store(), err)
		}
	}
	return err
}

// lostWords are in what Nix and SSH say when there is no other side, or no more.
func lostWords() []string {
	return []string{
		"failed to start SSH connection", "Nix daemon disconnected unexpectedly", "unexpected end-of-file",
		"Connection closed by remote host", "closed by remote host", "client_loop: send disconnect", "Timeout, server ",
		"cannot open connection to remote store",
	}
}
