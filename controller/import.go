package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"kedge/controller/internal/cache"
	"kedge/controller/internal/publish"
	"kedge/controller/internal/sign"
	"kedge/proto"
	"kedge/proto/bus"
)

// A Relay makes closures fetchable that others built.
type Relay interface {
	// Bring makes toplevel's closure present in the local store, if it is not:
	// from the caches of others, as far as trusted keys signed it.
	Bring(ctx context.Context, toplevel proto.StorePath, trusted []proto.PublicKey) error
	// Signed returns an error that names the paths of toplevel's closure that
	// no trusted key signed.
	Signed(ctx context.Context, toplevel proto.StorePath, trusted []proto.PublicKey) error
	// Closures lists closures, and changes nothing.
	Closures(ctx context.Context, toplevels ...proto.StorePath) (cache.Closures, error)
	// Relay copies closures into the cache with the signatures that they have.
	Relay(ctx context.Context, toplevels ...proto.StorePath) (cache.Closures, error)
}

var _ Relay = (*cache.Cache)(nil)

// A releaseOpener verifies releases, and says who can sign them here; see
// [sign.Signer].
type releaseOpener interface {
	OpenRelease(e proto.Envelope) (proto.Release, error)
	OwnReleaseKeys() []proto.PublicKey
}

// An orderPublisher publishes; see [publish.Publisher].
type orderPublisher interface {
	// Takes reports why o, whose release is r, cannot be published, or nil.
	Takes(r proto.Release, o publish.Order) error
	Publish(ctx context.Context, actor string, o publish.Order) (proto.Serial, error)
	Toplevels(host proto.HostName) []proto.StorePath
}

var (
	_ releaseOpener  = (*sign.Signer)(nil)
	_ orderPublisher = (*publish.Publisher)(nil)
)

// importer publishes toplevels that this controller did not build. It vouches
// for none of them: every path must carry a trusted signature already, and what
// came as a release must be signed by as many release keys as hosts ask for.
// Otherwise the controller would sign anything for anybody.
type importer struct {
	fleet     *Fleet
	relay     Relay
	check     func(proto.StorePath) error // whether it is a NixOS toplevel; see [build.CheckToplevel]
	builder   Builder                     // keeps toplevels from being collected
	trusted   []proto.PublicKey           // keys that sign store paths
	signer    releaseOpener
	publisher orderPublisher
	releaser  releaser // signs what came without a release
	rollouts  *rollouts
	differ    differ
	log       *slog.Logger
}

// An imported is a target that nothing is wrong with.
type imported struct {
	host     proto.HostName
	toplevel proto.StorePath
	order    publish.Order // without a release if the target had none
}

// publish publishes every target, or none if anything is wrong with any of them;
// then the error names everything. Once all are found right they are published
// one after the other, and an error says how far that came.
func (i *importer) publish(ctx context.Context, actor string, targets []proto.PublishTarget) ([]proto.Published, error) {
	found, problems := i.examine(ctx, targets)
	if len(problems) > 0 {
		return nil, bus.Errorf(bus.CodeRefused, "nothing was published: %s", strings.Join(problems, "; "))
	}
	var toplevels []proto.StorePath
	for _, t := range found {
		if err := i.builder.Root(t.host, t.toplevel); err != nil {
			return nil, fmt.Errorf("keep %s from being collected: %w", t.toplevel, err)
		}
		toplevels = append(toplevels, t.toplevel)
	}
	closures, err := i.relay.Relay(ctx, toplevels...)
	if err != nil {
		return nil, fmt.Errorf("copy into the cache: %w", err)
	}
	published := []proto.Published{}
	for _, t := range found {
		changes := i.differ.compareOne(ctx, t.host, t.toplevel, closures[t.toplevel])
		serial, err := i.publishOne(ctx, actor, t, closures[t.toplevel])
		if err != nil {
			return nil, fmt.Errorf("published for %d of %d hosts, then: %w", len(published), len(targets), err)
		}
		i.log.InfoContext(ctx, "published", "host", t.host, "serial", serial, "toplevel", t.toplevel, "by", actor)
		published = append(published, proto.Published{Host: t.host, Serial: serial, Changes: changes})
		prune(ctx, i.builder, i.fleet, t.host, i.log, append(i.rollouts.keeps(t.host), i.publisher.Toplevels(t.host)...)...)
	}
	return published, nil
}

func (i *importer) publishOne(ctx context.Context, actor string, t imported, closure proto.Closure) (proto.Serial, error) {
	if t.order.Release.PayloadType == "" {
		var err error
		if t.order.Release, err = i.releaser.release(t.host, t.toplevel, proto.Revision{}, closure.Digest()); err != nil {
			return 0, err
		}
	}
	return i.publisher.Publish(ctx, actor, t.order)
}

// examine returns targets as they can be published, and everything that is wrong
// with them.
func (i *importer) examine(ctx context.Context, targets []proto.PublishTarget) (found []imported, problems []string) {
	if len(targets) == 0 {
		return nil, []string{"no host is named"}
	}
	seen := map[proto.HostName]bool{}
	for n, t := range targets {
		target, release, err := i.open(t)
		if err != nil {
			problems = append(problems, fmt.Sprintf("target %d: %v", n+1, err))
			continue
		}
		if seen[target.host] {
			problems = append(problems, fmt.Sprintf("%s: named twice", target.host))
			continue
		}
		seen[target.host] = true
		for _, err := range i.wrong(ctx, target, release) {
			problems = append(problems, fmt.Sprintf("%s: %v", target.host, err))
		}
		found = append(found, target)
	}
	return found, problems
}

// open returns a target, and the release that it came in; zero if it came in none.
func (i *importer) open(t proto.PublishTarget) (imported, proto.Release, error) {
	if t.Release == nil {
		if len(i.signer.OwnReleaseKeys()) == 0 {
			return imported{}, proto.Release{}, fmt.Errorf("%s: %w: publish a release that was signed where it was built (kedge release sign)", t.Host, sign.ErrHoldsNone)
		}
		return imported{host: t.Host, toplevel: t.Toplevel, order: publish.Order{Mode: t.Mode}}, proto.Release{}, nil
	}
	r, err := i.signer.OpenRelease(*t.Release)
	if err != nil {
		return imported{}, r, err
	}
	return imported{host: r.Host, toplevel: r.Toplevel, order: publish.Order{
		Release: *t.Release, Mode: t.Mode, Newer: !t.Downgrade, Assignment: t.Assignment,
	}}, r, nil
}

// wrong returns what is wrong with t, which came in the release r.
func (i *importer) wrong(ctx context.Context, t imported, r proto.Release) (problems []error) {
	if _, known := i.fleet.Host(t.host); !known {
		problems = append(problems, errors.New("is not a known host"))
	}
	signed := !r.Host.IsZero()
	if signed {
		if err := i.publisher.Takes(r, t.order); err != nil {
			problems = append(problems, err)
		}
		if err := i.relay.Bring(ctx, t.toplevel, i.trusted); err != nil {
			return append(problems, err)
		}
	}
	if err := i.check(t.toplevel); err != nil {
		return append(problems, err) // nothing there to look at signatures of
	}
	if err := i.relay.Signed(ctx, t.toplevel, i.trusted); err != nil {
		problems = append(problems, err)
	}
	if signed {
		problems = append(problems, i.compare(ctx, t.toplevel, r.Closure)...)
	}
	return problems
}

// compare reports whether a closure is another one than was signed.
func (i *importer) compare(ctx context.Context, toplevel proto.StorePath, want proto.Digest) []error {
	closures, err := i.relay.Closures(ctx, toplevel)
	if err != nil {
		return []error{err}
	}
	if got := closures[toplevel].Digest(); got != want {
		return []error{fmt.Errorf("%s: the release says that the closure of %s is %s, and here it is %s", proto.ReasonDigestMismatch, toplevel, want, got)}
	}
	return nil
}
