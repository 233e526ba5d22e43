package controllertest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"kedge/controller"
	"kedge/controller/internal/build"
	"kedge/controller/internal/cache"
	"kedge/controller/internal/source"
	"kedge/internal/nix"
	"kedge/internal/spec"
	"kedge/proto"
)

// A Flake is one revision of a fleet.
type Flake struct {
	Toplevels map[proto.HostName]proto.StorePath
	Broken    map[proto.HostName]string // hosts that do not build, and why
	Names     []string                  // of what cannot be a host
	Unsigned  bool                      // no signer vouches for it
	Over      bool                      // it does not follow from the one before it
	Missing   string                    // what it lacks that is needed to evaluate it at all
	Kedge     string                    // its output kedge, as JSON; empty for none
}

// A World is what a controller runs git and Nix for. The zero value has repositories
// without a revision, one for each channel. Safe for concurrent use.
type World struct {
	mu      sync.Mutex                // guards what follows
	heads   map[string]proto.Revision // by channel
	flakes  map[proto.Revision]Flake
	down    map[string]error         // why the repository of a channel cannot be read
	foreign map[proto.StorePath]bool // toplevels that others built: true if they are signed
	cached  map[proto.StorePath]bool // what can be fetched
	rooted  map[proto.StorePath]bool // what is kept from being collected
	builds  int
	begun   chan struct{} // closed when the first one begins, if somebody waits
	hold    bool          // builds wait for their context to end
	rev     int
}

// Push makes a flake the newest revision of [Channel], and returns that.
func (w *World) Push(f Flake) proto.Revision { return w.PushTo(Channel, f) }

// PushTo makes a flake the newest revision of a channel, and returns that.
func (w *World) PushTo(channel string, f Flake) proto.Revision {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rev++
	sum := sha256.Sum256(fmt.Append(nil, "revision ", w.rev))
	rev, err := proto.ParseRevision(hex.EncodeToString(sum[:20]))
	if err != nil { // cannot be: 40 digits
		return proto.Revision{}
	}
	if w.flakes == nil {
		w.flakes, w.heads = map[proto.Revision]Flake{}, map[string]proto.Revision{}
	}
	w.heads[channel], w.flakes[rev] = rev, f
	return rev
}

// Amend replaces what the newest revision of [Channel] builds, as if a build that failed for
// want of something outside succeeded now.
func (w *World) Amend(f Flake) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flakes[w.heads[Channel]] = f
}

// Down makes the repository of [Channel] unreadable, or readable again if err is nil.
func (w *World) Down(err error) { w.DownOf(Channel, err) }

// DownOf makes the repository of a channel unreadable, or readable again if err is
// nil.
func (w *World) DownOf(channel string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down == nil {
		w.down = map[string]error{}
	}
	w.down[channel] = err
}

// Hold makes builds last until they are ended from outside, or not any more.
func (w *World) Hold(hold bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hold = hold
}

// AwaitBuild waits until a revision has begun to be built.
func (w *World) AwaitBuild(ctx context.Context) error {
	w.mu.Lock()
	if w.builds > 0 {
		w.mu.Unlock()
		return nil
	}
	if w.begun == nil {
		w.begun = make(chan struct{})
	}
	begun := w.begun
	w.mu.Unlock()
	select {
	case <-begun:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Import makes a toplevel that others built known, signed by a trusted key or not.
func (w *World) Import(toplevel proto.StorePath, signed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.foreign == nil {
		w.foreign = map[proto.StorePath]bool{}
	}
	w.foreign[toplevel] = signed
}

// Release lets go of a toplevel: it is still in the store, but neither rooted there nor in
// the cache any more.
func (w *World) Release(toplevel proto.StorePath) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.rooted, toplevel)
	delete(w.cached, toplevel)
}

// Kept reports whether a toplevel can be fetched from the cache, and whether it is rooted.
func (w *World) Kept(toplevel proto.StorePath) (cached, rooted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cached[toplevel], w.rooted[toplevel]
}

// Parts returns the parts of a controller with some channels that work on w.
func (w *World) Parts(key proto.PublicKey, channels ...string) *controller.Parts {
	p := controller.Parts{
		Sources: map[string]controller.Source{}, Builder: builder{w}, Cache: binaries{World: w, key: key}, Pruner: binaries{World: w, key: key}, CheckToplevel: w.check,
	}
	for _, channel := range channels {
		p.Sources[channel] = repository{World: w, channel: channel}
	}
	return &p
}

// Toplevel returns a store path for a name; equal names give equal paths.
func Toplevel(name string) (proto.StorePath, error) {
	sum := sha256.Sum256([]byte(name))
	hash := strings.NewReplacer("e", "x", "o", "y", "t", "z", "u", "w").Replace(hex.EncodeToString(sum[:16]))
	return proto.ParseStorePath(proto.StoreDir + hash + "-nixos-system-" + name)
}

// Closure returns what the closure of a toplevel is in every world.
func Closure(toplevel proto.StorePath) proto.Closure {
	return proto.Closure{{Path: toplevel, NarHash: "sha256:" + toplevel.Hash(), NarSize: 1}}
}

func (w *World) check(toplevel proto.StorePath) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, known := w.foreign[toplevel]; known {
		return nil
	}
	return &build.NotAToplevelError{Path: toplevel, Missing: []string{"bin/switch-to-configuration"}}
}

// repository is a World as the git repository of a channel.
type repository struct {
	*World
	channel string
}

// URL implements [controller.Looker].
func (r repository) URL() string { return "/srv/fleet.git" }

// Branch implements [controller.Looker].
func (r repository) Branch() string { return "main" }

// Check implements [controller.Looker].
func (r repository) Check(context.Context) (proto.Revision, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.down[r.channel]; err != nil {
		return proto.Revision{}, fmt.Errorf("check /srv/fleet.git: %w: %w", source.ErrUnreachable, err)
	}
	head := r.heads[r.channel]
	if head.IsZero() {
		return proto.Revision{}, fmt.Errorf("look at /srv/fleet.git: %w", source.ErrNoBranch)
	}
	return head, nil
}

// Fetch implements [controller.Source].
func (r repository) Fetch(context.Context, proto.Revision) error { return nil }

// Admit implements [controller.Source].
func (r repository) Admit(_ context.Context, base, rev proto.Revision) (pushedOver bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flakes[rev].Unsigned {
		return false, fmt.Errorf("%w: %s after %s", source.ErrUnsigned, rev.Short(), base.Short())
	}
	return r.flakes[rev].Over && base != rev, nil
}

// Checkout implements [controller.Source].
func (r repository) Checkout(_ context.Context, rev proto.Revision) (source.Tree, error) {
	return source.Tree{Revision: rev, FlakeRef: rev.String()}, nil
}

// Tidy implements [controller.Source].
func (r repository) Tidy(context.Context) error { return nil }

// Watch implements [controller.Source]: nobody tells.
func (r repository) Watch(ctx context.Context, _ func()) error {
	<-ctx.Done()
	return nil
}

// builder is a World as Nix.
type builder struct{ *World }

// Evaluate implements [controller.Builder].
func (b builder) Evaluate(_ context.Context, ref string) (build.Evaluations, error) {
	rev, err := proto.ParseRevision(ref)
	if err != nil {
		return build.Evaluations{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.flakes[rev]
	if f.Missing != "" {
		return build.Evaluations{}, &build.FlakeError{Ref: ref, Missing: f.Missing, Err: errors.New("error: there is none")}
	}
	rollouts, err := spec.Parse([]byte(f.Kedge), slices.Collect(maps.Keys(f.Toplevels)))
	if err != nil {
		return build.Evaluations{}, &build.SpecError{Err: err}
	}
	e := build.Evaluations{Spec: rollouts, Hosts: map[proto.HostName]build.Evaluation{}, Failed: map[proto.HostName]*build.HostError{}}
	for host, toplevel := range f.Toplevels {
		e.Hosts[host] = build.Evaluation{Toplevel: toplevel}
	}
	for host, why := range f.Broken {
		e.Failed[host] = build.NewHostError(host, proto.ReasonEvalFailed, errors.New(why))
	}
	for _, name := range f.Names {
		_, err := proto.ParseHostName(name)
		e.Names = append(e.Names, &build.NameError{Name: name, Err: err})
	}
	return e, nil
}

// Build implements [controller.Builder].
func (b builder) Build(ctx context.Context, e build.Evaluations, log nix.LogFunc) (build.Builds, error) {
	log("", "building")
	b.mu.Lock()
	b.builds++
	if b.begun != nil {
		close(b.begun)
		b.begun = nil
	}
	hold := b.hold
	b.mu.Unlock()
	if hold {
		<-ctx.Done()
		return build.Builds{}, ctx.Err()
	}
	built := build.Builds{Toplevels: map[proto.HostName]proto.StorePath{}}
	for host, e := range e.Hosts {
		built.Toplevels[host] = e.Toplevel
	}
	return built, nil
}

// Root implements [controller.Builder].
func (b builder) Root(_ proto.HostName, toplevel proto.StorePath) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	note(&b.rooted, toplevel)
	return nil
}

// note adds toplevels to a set.
func note(set *map[proto.StorePath]bool, toplevels ...proto.StorePath) {
	if *set == nil {
		*set = map[proto.StorePath]bool{}
	}
	for _, p := range toplevels {
		(*set)[p] = true
	}
}

// Prune implements [controller.Builder].
func (b builder) Prune(proto.HostName, ...proto.StorePath) error { return nil }

// Rooted implements [controller.Builder].
func (b builder) Rooted() ([]proto.HostName, error) { return nil, nil }

// Unroot implements [controller.Builder].
func (b builder) Unroot(proto.HostName) error { return nil }

// binaries is a World as a binary cache.
type binaries struct {
	*World
	key proto.PublicKey
}

// PublicKey implements [controller.Cache].
func (b binaries) PublicKey() proto.PublicKey { return b.key }

// Handler implements [controller.Cache]; there is nothing to fetch.
func (b binaries) Handler(cache.Porter) http.Handler { return http.NotFoundHandler() }

// Closures implements [controller.Cache].
func (b binaries) Closures(_ context.Context, toplevels ...proto.StorePath) (cache.Closures, error) {
	closures := cache.Closures{}
	for _, p := range toplevels {
		closures[p] = Closure(p)
	}
	return closures, nil
}

// Push implements [controller.Cache].
func (b binaries) Push(ctx context.Context, toplevels ...proto.StorePath) (cache.Closures, error) {
	b.mu.Lock()
	note(&b.cached, toplevels...)
	b.mu.Unlock()
	return b.Closures(ctx, toplevels...)
}

// Provide implements [controller.Cache]: the store has everything.
func (b binaries) Provide(ctx context.Context, toplevels ...proto.StorePath) (cache.Closures, error) {
	return b.Push(ctx, toplevels...)
}

// Relay implements [controller.Cache].
func (b binaries) Relay(ctx context.Context, toplevels ...proto.StorePath) (cache.Closures, error) {
	return b.Push(ctx, toplevels...)
}

// Bring implements [controller.Cache]: what the world does not know is nowhere.
func (b binaries) Bring(_ context.Context, toplevel proto.StorePath, _ []proto.PublicKey) error {
	return b.check(toplevel)
}

// Signed implements [controller.Cache].
func (b binaries) Signed(_ context.Context, toplevel proto.StorePath, _ []proto.PublicKey) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.foreign[toplevel] {
		return nil
	}
	return &cache.UnsignedError{Toplevel: toplevel, Paths: []proto.StorePath{toplevel}}
}

// Prune implements [controller.Pruner]: nothing is ever in the way.
func (b binaries) Prune(context.Context, cache.PruneOptions) (cache.Pruned, error) {
	return cache.Pruned{}, nil
}

// Usage implements [controller.Pruner].
func (b binaries) Usage() (cache.Usage, error) { return cache.Usage{}, nil }

// Free implements [controller.Pruner].
func (b binaries) Free() (uint64, error) { return 1 << 40, nil }
