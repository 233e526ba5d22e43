package build

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"kedge/internal/nix"
	"kedge/proto"
)

// A Nix evaluates and builds; a [*nix.CLI] is one. All methods are safe for
// concurrent use and end with their context.
type Nix interface {
	EvalInto(ctx context.Context, o nix.EvalOptions, v any) error
	HasEvalJobs() bool
	EvalJobs(ctx context.Context, o nix.EvalJobsOptions, each func(nix.Job)) error
	Prepare(ctx context.Context, o nix.RealiseOptions) *nix.Prepared
	Realise(ctx context.Context, o nix.RealiseOptions) error
	Invalid(ctx context.Context, paths ...proto.StorePath) ([]proto.StorePath, error)
	Requisites(ctx context.Context, paths ...proto.StorePath) ([]proto.StorePath, error)
}

const (
	defaultRoots        = "/nix/var/nix/gcroots/kedge-controller"
	defaultKeep         = 3
	defaultEvalTimeout  = 10 * time.Minute
	defaultBuildTimeout = 2 * time.Hour
	defaultMaxSilent    = 10 * time.Minute
	defaultMemory       = 4 << 10
	defaultRevisions    = 10

	// queryTimeout bounds the questions to the store about one build that failed.
	queryTimeout = 10 * time.Minute
)

// Options says how to build.
type Options struct {
	Nix          Nix           // required
	Roots        string        // directory of GC roots; defaults to one of ours among Nix's
	Keep         int           // toplevels rooted per host; defaults to 3
	EvalTimeout  time.Duration // of one process; defaults to 10 min
	BuildTimeout time.Duration // of one Build; defaults to 2 h
	MaxSilent    time.Duration // of one derivation's builder without a word; defaults to 10 min
	Workers      int           // evaluations at once; defaults to one for each processor, as far as memory suffices
	Memory       int           // MiB for each; defaults to 4 GiB
	Evaluations  string        // directory of what revisions evaluated to; empty for none
	Revisions    int           // how many of them are kept; defaults to 10
	CopyTo       string        // store that gets what is built, unless anything fails: saves a process later
	Store        string        // where the store is looked at; defaults to proto.StoreDir
	Log          *slog.Logger  // required
}

// A Builder evaluates and builds. It is safe for concurrent use.
type Builder struct {
	o     Options
	book  book
	turns *semaphore.Weighted // of evaluations, whoever asks for them: Options.Workers

	rooting sync.Mutex // held while a host's folder of roots is made, or removed

	mu    sync.Mutex
	valid map[proto.StorePath]bool // toplevels that are there, and rooted
}

// New returns a builder.
func New(o Options) (*Builder, error) {
	if o.Nix == nil || o.Log == nil {
		return nil, errors.New("builder options: Nix and Log are required")
	}
	if o.Roots == "" {
		o.Roots = defaultRoots
	}
	if o.Keep == 0 {
		o.Keep = defaultKeep
	}
	if o.EvalTimeout == 0 {
		o.EvalTimeout = defaultEvalTimeout
	}
	if o.BuildTimeout == 0 {
		o.BuildTimeout = defaultBuildTimeout
	}
	if o.MaxSilent == 0 {
		o.MaxSilent = defaultMaxSilent
	}
	if o.Memory == 0 {
		o.Memory = defaultMemory
	}
	if o.Workers == 0 {
		o.Workers = workers(memoryOf(cgroupRoot), o.Memory)
	}
	if o.Revisions == 0 {
		o.Revisions = defaultRevisions
	}
	if o.Store == "" {
		o.Store = proto.StoreDir
	}
	if min(o.Keep, o.Workers, o.Memory, o.Revisions) < 0 || min(o.EvalTimeout, o.BuildTimeout, o.MaxSilent) < 0 {
		return nil, errors.New("builder options: numbers and times must not be negative")
	}
	pages := book{dir: o.Evaluations, keep: o.Revisions, store: o.Store, log: o.Log}
	return &Builder{
		o: o, book: pages, turns: semaphore.NewWeighted(int64(o.Workers)), valid: make(map[proto.StorePath]bool),
	}, nil
}

// Builds is what became of a set of hosts.
type Builds struct {
	// Toplevels are there whole, rooted, and NixOS systems.
	Toplevels map[proto.HostName]proto.StorePath
	// Failed says why the other hosts have none, with the reasons
	// [proto.ReasonBuildFailed], [proto.ReasonNoBuilder], [proto.ReasonDiskFull]
	// and [proto.ReasonNotAToplevel].
	Failed map[proto.HostName]*HostError
}

// Build makes what e.Hosts evaluated to, and tells log, unless it is nil, what is said
// of it. What is there already costs nothing. Hosts whose derivations were collected
// since are evaluated again, once each. A host that cannot be built, or not in time, holds
// up no other; the error is about all of them: ctx ended, no root could be made, or it
// wraps [nix.ErrUnreachable]. It closes e.
func (b *Builder) Build(ctx context.Context, e Evaluations, log nix.LogFunc) (Builds, error) {
	defer e.Close()
	hosts, prepared := maps.Clone(e.Hosts), e.prepared
	for host, e := range hosts {
		if err := b.Root(host, e.Toplevel); err != nil {
			return Builds{}, err
		}
	}
	failures := map[proto.HostName]error{}
	var remade []proto.HostName // were evaluated again
	inTime, cancel := context.WithTimeoutCause(ctx, b.o.BuildTimeout, fmt.Errorf("no end within %s", b.o.BuildTimeout))
	defer cancel()
	for left := b.unknown(hosts); len(left) > 0; {
		err := b.realise(inTime, left, prepared, log)
		prepared = nil // it has ended
		switch {
		case ctx.Err() != nil, errors.Is(err, nix.ErrUnreachable):
			return Builds{}, fmt.Errorf("build: %w", err)
		case err == nil:
			return b.judge(hosts, failures), nil
		}
		var failed map[proto.HostName]error
		if failed, left, err = b.blame(ctx, left, err); err != nil {
			return Builds{}, err
		}
		if lost := collected(failed, remade); len(lost) > 0 {
			again, err := b.remake(ctx, e.ref, lost, failed)
			if err != nil {
				return Builds{}, err
			}
			remade = append(remade, lost...)
			maps.Copy(hosts, again)
			maps.Copy(left, again)
		}
		maps.Copy(failures, failed)
	}
	return b.judge(hosts, failures), nil
}

// realise builds what hosts evaluated to, by what is prepared or a process of its own.
func (b *Builder) realise(ctx context.Context, hosts map[proto.HostName]Evaluation, prepared *nix.Prepared, log nix.LogFunc) error {
	o := b.realiseOptions()
	for _, e := range sorted(hosts) {
		o.Derivations, o.Outputs = append(o.Derivations, e.Derivation), append(o.Outputs, e.Toplevel)
	}
	o.Prepared, o.Log = prepared, log
	return b.o.Nix.Realise(ctx, o)
}

// realiseOptions are those of every build.
func (b *Builder) realiseOptions() nix.RealiseOptions {
	return nix.RealiseOptions{KeepGoing: true, MaxSilent: b.o.MaxSilent, CopyTo: b.o.CopyTo}
}

// unknown returns the hosts whose toplevel is not known to be there.
func (b *Builder) unknown(hosts map[proto.HostName]Evaluation) map[proto.HostName]Evaluation {
	b.mu.Lock()
	defer b.mu.Unlock()
	left := maps.Clone(hosts)
	maps.DeleteFunc(left, func(_ proto.HostName, e Evaluation) bool { return b.valid[e.Toplevel] })
	return left
}

// judge sorts hosts into those that have a system and those that have none.
func (b *Builder) judge(hosts map[proto.HostName]Evaluation, failures map[proto.HostName]error) Builds {
	builds := Builds{
		Toplevels: make(map[proto.HostName]proto.StorePath),
		Failed:    make(map[proto.HostName]*HostError),
	}
	for host, e := range hosts {
		if err, failed := failures[host]; failed {
			builds.Failed[host] = NewHostError(host, proto.ReasonBuildFailed, err)
			continue
		}
		if err := checkToplevel(b.o.Store, e.Toplevel); err != nil {
			b.forget(e.Toplevel.String()) // it may have been removed by force
			builds.Failed[host] = &HostError{Host: host, Reason: proto.ReasonNotAToplevel, Err: err}
			continue
		}
		builds.Toplevels[host] = e.Toplevel
		b.mu.Lock()
		b.valid[e.Toplevel] = true
		b.mu.Unlock()
	}
	return builds
}
