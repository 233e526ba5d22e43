package build

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"kedge/internal/nix"
	"kedge/proto"
)

// hostMemory is what one host is taken to cost in a process that evaluates several,
// in MiB. Where that is too little they are evaluated one by one.
const hostMemory = 512

// chunk is how many hosts are evaluated in one process.
func (b *Builder) chunk() int { return max(b.o.Memory/hostMemory, 1) }

// evaluateSome is applied to all hosts, and evaluates those that are named.
const evaluateSome = `hosts: builtins.listToAttrs (builtins.map (name: { inherit name; value = (` + evaluateTried + `) hosts.${name}; }) [ %s ])`

// selectSome is evaluateSome for nix-eval-jobs, which itself tries.
const selectSome = `hosts: builtins.listToAttrs (builtins.map (name: { inherit name; value = hosts.${name}.config.system.build.toplevel; }) [ %s ])`

// many evaluates more hosts than one process has room for, side by side, and adds
// what came of it to result. It returns those of which nothing is known yet, sorted.
func (b *Builder) many(ctx context.Context, flakeRef string, hosts []proto.HostName, result Evaluations) []proto.HostName {
	left := func() []proto.HostName {
		return slices.DeleteFunc(slices.Clone(hosts), func(h proto.HostName) bool {
			_, done := result.Hosts[h]
			return done || result.Failed[h] != nil
		})
	}
	if b.o.Nix.HasEvalJobs() {
		if err := b.jobs(ctx, flakeRef, hosts, result); err != nil && ctx.Err() == nil {
			b.o.Log.WarnContext(ctx, "nix-eval-jobs did not evaluate every host; the others are evaluated without it", "hosts", len(left()), "err", err)
		}
	}
	b.chunks(ctx, flakeRef, left(), result)
	return left()
}

// jobs evaluates hosts with nix-eval-jobs. With an error, some of them may be
// evaluated all the same.
func (b *Builder) jobs(ctx context.Context, flakeRef string, hosts []proto.HostName, result Evaluations) error {
	workers := min(b.o.Workers, len(hosts))
	if err := b.turns.Acquire(ctx, int64(workers)); err != nil {
		return context.Cause(ctx)
	}
	defer b.turns.Release(int64(workers))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// There are too many of them for a bound on all, but not on each.
	silence := time.AfterFunc(b.o.EvalTimeout, func() { cancel(fmt.Errorf("no host within %s", b.o.EvalTimeout)) })
	defer silence.Stop()
	return b.o.Nix.EvalJobs(ctx, nix.EvalJobsOptions{
		Installable: flakeRef + "#" + attribute, Select: fmt.Sprintf(selectSome, quoted(hosts)),
		Workers: workers, Memory: b.o.Memory,
	}, func(job nix.Job) {
		silence.Reset(b.o.EvalTimeout)
		host, err := proto.ParseHostName(job.Name)
		switch {
		case err != nil:
		case job.Error != "":
			result.Failed[host] = NewHostError(host, proto.ReasonEvalFailed, explainText(job.Error))
		default:
			result.Hosts[host] = Evaluation{Derivation: job.Derivation, Toplevel: job.Out}
		}
	})
}

// chunks evaluates hosts, a few in each process. Those that fail, and those in a
// process that does, are left.
func (b *Builder) chunks(ctx context.Context, flakeRef string, hosts []proto.HostName, result Evaluations) {
	size := min(b.chunk(), (len(hosts)+b.o.Workers-1)/b.o.Workers)
	if size <= 1 {
		return
	}
	var mu sync.Mutex // guards result
	var group errgroup.Group
	group.SetLimit(b.o.Workers)
	for chunk := range slices.Chunk(hosts, size) {
		group.Go(func() error {
			var evaluations map[string]*Evaluation
			if err := b.eval(ctx, flakeRef, attribute, fmt.Sprintf(evaluateSome, quoted(chunk)), &evaluations); err != nil {
				b.o.Log.DebugContext(ctx, "hosts are evaluated one by one", "hosts", len(chunk), "err", err)
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			for _, host := range chunk {
				if e := evaluations[host.String()]; e != nil {
					result.Hosts[host] = *e
				}
			}
			return nil
		})
	}
	_ = group.Wait() // none fails
}

// quoted returns hosts as the elements of a list in Nix.
func quoted(hosts []proto.HostName) string {
	var names []string
	for _, h := range hosts {
		names = append(names, fmt.Sprintf("%q", h))
	}
	return strings.Join(names, " ")
}
