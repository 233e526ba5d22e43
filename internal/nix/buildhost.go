package nix

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"kedge/proto"
)

// ErrUnreachable is wrapped by errors that say that another machine cannot be
// reached, or was lost in the middle. It has nothing to do with what was to be built.
var ErrUnreachable = errors.New("the build host cannot be reached")

// A BuildHost is another machine, with a Nix of its own, that is reached by SSH. Its
// host key must be known.
type BuildHost struct {
	URL            string // such as "ssh-ng://builder@big.example:2222"
	KeyFile        string // of the private key; empty for what SSH finds by itself
	KnownHostsFile string // empty for SSH's own
}

// plainArgument is what Nix passes on to SSH in one piece, whichever version it is.
var plainArgument = regexp.MustCompile(`^[A-Za-z0-9/._@:%+-]+$`)

// Problems returns what is wrong with h, each with the name of the field.
func (h BuildHost) Problems() []error {
	var problems []error
	u, err := url.Parse(h.URL)
	switch {
	case err != nil || u.Scheme != "ssh-ng" || u.Hostname() == "" || strings.HasPrefix(u.Hostname(), "-") || u.Path != "":
		problems = append(problems, fmt.Errorf(`URL: must be like "ssh-ng://builder@big.example", got %q`, h.URL))
	case hasPassword(u):
		problems = append(problems, errors.New("URL: must not hold a password"))
	}
	for field, path := range map[string]string{"KeyFile": h.KeyFile, "KnownHostsFile": h.KnownHostsFile} {
		if path != "" && (!filepath.IsAbs(path) || !plainArgument.MatchString(path)) {
			problems = append(problems, fmt.Errorf("%s: must be an absolute path without blanks, got %q", field, path))
		}
	}
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return problems
}

func hasPassword(u *url.URL) bool {
	_, has := u.User.Password()
	return has
}

// store returns the host as a store of Nix. Old versions know no port in it.
func (h BuildHost) store() string {
	u, err := url.Parse(h.URL)
	if err != nil {
		return h.URL
	}
	if port := u.Port(); port != "" {
		u.Host = strings.TrimSuffix(u.Host, ":"+port)
	}
	return u.String()
}

// environ returns what tells Nix how to use SSH: never to ask anybody, and to notice
// when the other side is gone.
func (h BuildHost) environ() []string {
	options := []string{
		"-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=15",
		"-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4",
	}
	if u, err := url.Parse(h.URL); err == nil && u.Port() != "" {
		options = append(options, "-p", u.Port())
	}
	if h.KeyFile != "" {
		options = append(options, "-i", h.KeyFile, "-o", "IdentitiesOnly=yes")
	}
	if h.KnownHostsFile != "" {
		options = append(options, "-o", "UserKnownHostsFile="+h.KnownHostsFile)
	}
	return []string{"NIX_SSHOPTS=" + strings.Join(options, " ")}
}

// A Remote is a [CLI] whose builds are made on another machine and then copied to the
// local store, which is where everything else looks. Evaluations stay here.
type Remote struct {
	*CLI
	Host BuildHost
}

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
	there := *r.CLI
	there.Environ = append(r.environ(), r.Host.environ()...)
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
	there := *r.CLI
	there.Environ = append(r.environ(), r.Host.environ()...)
	return r.lost(there.logged(ctx, o.Log, "nix", args, installables, settings...))
}

// lost returns err, or what says that the build host is not there if that is its
// reason.
func (r *Remote) lost(err error) error {
	failed, ok := errors.AsType[*CommandError](err)
	if !ok || failed.ExitCode < 0 {
		return err
	}
	for line := range strings.Lines(failed.Stderr) {
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
