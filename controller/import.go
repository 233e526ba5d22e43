package controller

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"kedge/controller/internal/cache"
	"kedge/proto"
	"kedge/proto/bus"
)

// A Relay makes closures fetchable that others built.
type Relay interface {
	// Signed returns an error that names the paths of toplevel's closure that
	// no trusted key signed.
	Signed(ctx context.Context, toplevel proto.StorePath, trusted []proto.PublicKey) error
	// Relay copies closures into the cache with the signatures that they have.
	Relay(ctx context.Context, toplevels ...proto.StorePath) (cache.Closures, error)
}

var _ Relay = (*cache.Cache)(nil)

// importer publishes toplevels that this controller did not build. It vouches
// for none of them: it signs a release only for what trusted keys signed already,
// path by path. Otherwise the controller would sign anything for anybody.
type importer struct {
	fleet   *Fleet
	relay   Relay
	check   func(proto.StorePath) error // whether it is a NixOS toplevel; see [build.CheckToplevel]
	root    func(proto.HostName, proto.StorePath) error
	trusted []proto.PublicKey // keys that sign store paths
	runner  *runner
	log     *slog.Logger
}

// publish publishes every target, or none if anything is wrong with any of them;
// then the error names everything. Once all are found right they are published
// one after the other, and an error says how far that came.
func (i *importer) publish(ctx context.Context, actor string, targets []proto.PublishTarget) ([]proto.Published, error) {
	if problems := i.problems(ctx, targets); len(problems) > 0 {
		return nil, bus.Errorf(bus.CodeRefused, "nothing was published: %s", strings.Join(problems, "; "))
	}
	var toplevels []proto.StorePath
	for _, t := range targets {
		if err := i.root(t.Host, t.Toplevel); err != nil {
			return nil, fmt.Errorf("keep %s from being collected: %w", t.Toplevel, err)
		}
		toplevels = append(toplevels, t.Toplevel)
	}
	closures, err := i.relay.Relay(ctx, toplevels...)
	if err != nil {
		return nil, fmt.Errorf("copy into the cache: %w", err)
	}
	var published []proto.Published
	for _, t := range targets {
		serial, err := i.publishOne(ctx, actor, t, closures[t.Toplevel])
		if err != nil {
			return nil, fmt.Errorf("published for %d of %d hosts, then: %w", len(published), len(targets), err)
		}
		i.log.InfoContext(ctx, "published", "host", t.Host, "serial", serial, "toplevel", t.Toplevel, "by", actor)
		published = append(published, proto.Published{Host: t.Host, Serial: serial})
	}
	return published, nil
}

func (i *importer) publishOne(ctx context.Context, actor string, t proto.PublishTarget, closure proto.Closure) (proto.Serial, error) {
	release, err := i.runner.release(t.Host, t.Toplevel, proto.Revision{}, closure)
	if err != nil {
		return 0, err
	}
	return i.runner.publisher.Publish(ctx, actor, release, t.Mode)
}

// problems returns everything that is wrong with targets.
func (i *importer) problems(ctx context.Context, targets []proto.PublishTarget) []string {
	if len(targets) == 0 {
		return []string{"no host is named"}
	}
	var problems []string
	seen := map[proto.HostName]bool{}
	for _, t := range targets {
		if seen[t.Host] {
			problems = append(problems, fmt.Sprintf("%s: named twice", t.Host))
			continue
		}
		seen[t.Host] = true
		if _, known := i.fleet.Host(t.Host); !known {
			problems = append(problems, fmt.Sprintf("%s: is not a known host", t.Host))
		}
		if err := i.check(t.Toplevel); err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", t.Host, err))
			continue // nothing there to look at signatures of
		}
		if err := i.relay.Signed(ctx, t.Toplevel, i.trusted); err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", t.Host, err))
		}
	}
	return problems
}
