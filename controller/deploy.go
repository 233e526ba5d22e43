package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"kedge/controller/internal/build"
	"kedge/controller/internal/buildlog"
	"kedge/controller/internal/source"
	"kedge/internal/nix"
	"kedge/internal/spec"
	"kedge/proto"
)

// The publication of a revision, once it has begun, lasts publishTimeout at most;
// and publishGrace after the work on the revision was to end, which leaves some of
// the 30 s that the service has to stop in. What is not published by then is
// durable as a part of the rollout, which goes on with it.
const (
	publishTimeout = 10 * time.Minute
	publishGrace   = 15 * time.Second
)

// A Source is a git repository.
type Source interface {
	Looker
	// Fetch makes a revision present, and Checkout gives Nix a tree of it.
	// Both are idempotent.
	Fetch(ctx context.Context, rev proto.Revision) error
	Checkout(ctx context.Context, rev proto.Revision) (source.Tree, error)
	// Admit reports why a fetched revision may not be deployed after another one, zero
	// for none; and whether that was pushed over.
	Admit(ctx context.Context, base, rev proto.Revision) (pushedOver bool, err error)
	// Tidy removes what fetches left behind, if there is enough of it.
	Tidy(ctx context.Context) error
	// Watch calls moved when there may be a new revision, until ctx ends. It only
	// waits where nobody tells: then it is found by polling and `kedge reconcile`.
	Watch(ctx context.Context, moved func()) error
}

// A Builder builds the hosts' toplevels. One host's failure is in the results;
// an error is about all of them. What Evaluate returns is closed, or given to Build.
type Builder interface {
	Evaluate(ctx context.Context, flakeRef string) (build.Evaluations, error)
	Build(ctx context.Context, e build.Evaluations, log nix.LogFunc) (build.Builds, error)
	// Root keeps a toplevel of the local store from being collected, and
	// Prune lets go of a host's older ones.
	Root(host proto.HostName, toplevel proto.StorePath) error
	Prune(host proto.HostName, keep ...proto.StorePath) error
	// Rooted returns the hosts of which something is kept, and Unroot lets go of all
	// of one.
	Rooted() ([]proto.HostName, error)
	Unroot(host proto.HostName) error
}

var (
	_ Source  = (*source.Repository)(nil)
	_ Builder = (*build.Builder)(nil)
)

// deployer is the way of one revision of a channel, from the repository to the
// rollout.
type deployer struct {
	channel string
	source  Source
	builder Builder
	logs    *buildlog.Book
	cache   Pusher
	kept    *keptRevisions
	runner  *runner
	differ  differ
	fleet   *Fleet
	claims  claimSaver
	hosts   spec.Selector           // who follows the channel
	record  channelRecord           // as it is durable; of the goroutine that deploys
	redo    func(channels []string) // has others begin anew
	metrics *metrics
	now     func() time.Time
	log     *slog.Logger
}

var _ Deployer = (*deployer)(nil)

// claimSaver makes it durable who follows a channel, before it returns nil.
type claimSaver interface {
	Save(channel string, r channelRecord) error
}

// Deploy implements [Deployer].
func (d *deployer) Deploy(ctx context.Context, rev proto.Revision, since time.Time, fetched func()) error {
	watch := d.metrics.watch(since, d.now)
	missed, err := d.deploy(ctx, rev, watch, fetched)
	switch {
	case err != nil && ctx.Err() != nil:
		d.metrics.revisions.WithLabelValues(d.channel, resultSuperseded).Inc()
		return context.Cause(ctx)
	case err != nil:
		d.metrics.revisions.WithLabelValues(d.channel, resultFailed).Inc()
		return fmt.Errorf("revision %s: %w", rev.Short(), err)
	}
	d.log.LogAttrs(ctx, slog.LevelInfo, "revision published",
		slog.String("revision", rev.String()), slog.Int("missed", missed.count()), slog.Any("took", watch))
	if err := d.source.Tidy(ctx); err != nil && ctx.Err() == nil {
		d.log.WarnContext(ctx, "source not tidied", "err", err)
	}
	if missed.count() > 0 {
		d.metrics.revisions.WithLabelValues(d.channel, resultPartial).Inc()
		return fmt.Errorf("revision %s: %w", rev.Short(), missed)
	}
	d.metrics.revisions.WithLabelValues(d.channel, resultSucceeded).Inc()
	return nil
}

// deploy returns what of the revision is not published. The error is for all of
// it.
func (d *deployer) deploy(ctx context.Context, rev proto.Revision, watch *stopwatch, fetched func()) (*missedError, error) {
	if err := d.source.Fetch(ctx, rev); err != nil {
		return nil, fmt.Errorf("fetch: %w", err)
	}
	if err := d.admit(ctx, rev); err != nil {
		return nil, err
	}
	tree, err := d.source.Checkout(ctx, rev)
	if err != nil {
		return nil, fmt.Errorf("check out: %w", err)
	}
	fetched()
	watch.lap(stageSource)
	evaluations, err := d.builder.Evaluate(ctx, tree.FlakeRef)
	if err != nil {
		return nil, err
	}
	defer evaluations.Close()
	if evaluations, err = d.claim(ctx, evaluations); err != nil {
		return nil, err
	}
	watch.lap(stageEvaluation)
	builds, err := d.build(ctx, rev, evaluations)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBuild, err)
	}
	watch.lap(stageBuild)
	closures, err := push(ctx, d.cache, builds)
	missed := d.note(ctx, rev, evaluations, builds)
	if err != nil {
		return nil, fmt.Errorf("%w: copy into the cache: %w", errBuild, err)
	}
	if len(builds.Toplevels) == 0 && missed.unbuilt() && d.runner.current().Revision != rev {
		return nil, missed // it is for nobody yet: what is under way goes on
	}
	watch.lap(stageCache)
	var noted sync.WaitGroup // waits for the disk, as the other two do not
	noted.Go(func() { d.keep(ctx, rev, builds) })
	d.differ.compare(ctx, builds.Toplevels, closures)
	releases, err := d.runner.sign(rev, builds.Toplevels, closures)
	noted.Wait()
	if err != nil {
		return nil, err
	}
	watch.lap(stageSign)
	if err := ctx.Err(); err != nil {
		return nil, err
	}

	// From here on it is cheaper to go on than to stop in the middle.
	ctx, cancel := outlast(ctx, publishGrace, publishTimeout)
	defer cancel()
	if err := d.runner.begin(ctx, rev, evaluations.Spec, builds.Toplevels, releases); err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	record := d.record
	record.Deployed = rev
	if err := d.save(record); err != nil {
		return nil, err
	}
	watch.lap(stagePublish)
	d.fleet.Built(d.channel, rev)
	d.prune(ctx, builds.Toplevels)
	d.unroot(ctx)
	return missed, nil
}

// claim says which hosts follow the channel, and waits for what the other channels
// claim. It returns e with those as failed that another one claims, too.
func (d *deployer) claim(ctx context.Context, e build.Evaluations) (build.Evaluations, error) {
	hosts := slices.Collect(maps.Keys(e.Hosts))
	hosts = slices.AppendSeq(hosts, maps.Keys(e.Failed))
	hosts = slices.DeleteFunc(hosts, func(h proto.HostName) bool { return !e.Spec.Match(d.hosts, h) })
	slices.SortFunc(hosts, proto.HostName.Compare)
	if record := d.record; !slices.Equal(record.Hosts, hosts) {
		record.Hosts = hosts
		if err := d.save(record); err != nil {
			return e, err
		}
	}
	d.redo(d.fleet.Claim(d.channel, hosts))
	d.fleet.AwaitClaims(ctx)
	mine := e
	mine.Hosts, mine.Failed = map[proto.HostName]build.Evaluation{}, map[proto.HostName]*build.HostError{}
	for _, h := range hosts {
		channels := d.fleet.Claimants(h)
		failed := e.Failed[h]
		switch {
		case len(channels) > 1:
			mine.Failed[h] = build.NewHostError(h, proto.ReasonTwoChannels, &disputedError{channels})
		case failed != nil:
			mine.Failed[h] = failed
		default:
			mine.Hosts[h] = e.Hosts[h]
		}
	}
	return mine, ctx.Err()
}

// save makes r durable.
func (d *deployer) save(r channelRecord) error {
	if err := d.claims.Save(d.channel, r); err != nil {
		return err
	}
	d.record = r
	return nil
}

// note shows which hosts the revision reaches, and why it does not reach the
// others. It returns those of them that the flake means to be reached.
func (d *deployer) note(ctx context.Context, rev proto.Revision, e build.Evaluations, b build.Builds) *missedError {
	missed := &missedError{names: e.Names}
	failed := make(map[proto.HostName]*build.HostError, len(e.Failed))
	maps.Copy(failed, e.Failed)
	maps.Copy(failed, b.Failed)
	for _, host := range slices.SortedFunc(maps.Keys(failed), proto.HostName.Compare) {
		why := failed[host]
		missed.hosts = append(missed.hosts, why)
		p := why.Problem(rev, d.now())
		d.fleet.Trouble(host, &p)
		d.metrics.builds.WithLabelValues(string(why.Reason)).Inc()
		d.log.WarnContext(ctx, "host not built", "host", host, "revision", rev, "reason", why.Reason, "err", why.Err)
	}
	d.metrics.builds.WithLabelValues(resultSucceeded).Add(float64(len(b.Toplevels)))
	var dropped []proto.HostName
	for _, v := range d.fleet.View().Hosts {
		_, built := b.Toplevels[v.Host]
		switch {
		case failed[v.Host] != nil:
			continue
		case built:
			d.fleet.Trouble(v.Host, nil)
			continue
		case len(d.fleet.Claimants(v.Host)) > 0:
			continue // of another channel
		case v.Want.Serial > 0:
			dropped = append(dropped, v.Host)
		}
		d.fleet.Trouble(v.Host, &proto.Problem{
			Reason: proto.ReasonNotInRevision, Revision: rev, Time: d.now(),
			Message: fmt.Sprintf("nixosConfigurations.%s is not in the revision; what was assigned to the host stays", v.Host),
		})
	}
	if len(dropped) > 0 {
		d.log.WarnContext(ctx, "hosts are not in the flake any more; they keep what they were assigned", "revision", rev, "hosts", hostNames(dropped))
	}
	return missed
}

// keep has the cache keep what was built as long as its last revisions.
func (d *deployer) keep(ctx context.Context, rev proto.Revision, b build.Builds) {
	if err := d.kept.note(d.channel, rev, b.Toplevels); err != nil {
		d.log.WarnContext(ctx, "the cache may lose this revision before others", "revision", rev, "err", err)
	}
}

// prune lets go of toplevels that nobody runs or shall run.
func (d *deployer) prune(ctx context.Context, toplevels map[proto.HostName]proto.StorePath) {
	for host := range toplevels {
		prune(ctx, d.builder, d.fleet, host, d.log, d.runner.keeps(host)...)
	}
}

// unroot lets go of what was built for hosts that left the fleet.
func (d *deployer) unroot(ctx context.Context) {
	hosts, err := d.builder.Rooted()
	for _, host := range hosts {
		if !d.fleet.Gone(host) {
			continue
		}
		if err = errors.Join(err, d.builder.Unroot(host)); err == nil {
			d.log.InfoContext(ctx, "host left the fleet, its toplevels may be collected", "host", host)
		}
	}
	if err != nil {
		d.log.WarnContext(ctx, "toplevels stay of hosts that left the fleet", "err", err)
	}
}

// prune lets go of a host's toplevels that it neither runs nor shall run, and that are
// not kept for it.
func prune(ctx context.Context, b Builder, f *Fleet, host proto.HostName, log *slog.Logger, kept ...proto.StorePath) {
	r, _ := f.Host(host)
	keep := append([]proto.StorePath{r.Host.Want.Toplevel}, kept...)
	if s := r.Host.Status; s != nil {
		keep = append(keep, s.Systems.Toplevel(), s.Systems.Proven)
	}
	if err := b.Prune(host, keep...); err != nil {
		log.WarnContext(ctx, "old toplevels stay", "host", host, "err", err)
	}
}

// outlast returns a context that ends after timeout, or grace after ctx has ended.
func outlast(ctx context.Context, grace, timeout time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	stop := context.AfterFunc(ctx, func() {
		if sleep(longer, grace) {
			cancel()
		}
	})
	return longer, func() {
		stop()
		cancel()
	}
}
