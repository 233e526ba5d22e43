// Package agent is the program on every host: it keeps the host on the system
// that its controller wants, as far as that is signed by keys the host trusts.
//
// The agent is a level-triggered reconciler. Whatever wakes it (the doorbell,
// a new connection, a timer, a changed record), it observes the host, reads
// its desired state, and lets [Decide] say what to do: fetch, begin a
// transaction, see to one that is under way, or rest. It never activates
// anything itself. That is the transaction's work, which [Transact] runs in a
// process of its own (see kedge/agent/internal/transaction).
//
// The agent reports what happened and how the host is; see [Agent.Run] for
// what is on disk when.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"kedge/agent/internal/closure"
	"kedge/agent/internal/credentials"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/hook"
	"kedge/agent/internal/loader"
	"kedge/agent/internal/outbox"
	"kedge/agent/internal/statefile"
	"kedge/proto"
	"kedge/proto/bus"
)

// Options is what an agent needs. [Assemble] fills it with the real parts.
type Options struct {
	Config     Config                // required, valid
	Identity   Identity              // required
	Start      Start                 // what the process was started with
	Bus        Bus                   // required
	Link       Link                  // required
	Fetcher    Fetcher               // required
	Guard      Guard                 // required
	Systems    Systems               // required
	Loader     loader.Support        // what the boot loader can do
	Hooks      Hooks                 // required if the configuration has any
	Leases     Leases                // required if the configuration asks for them
	Keeper     Keeper                // required
	Tidier     Tidier                // required
	Store      Store                 // required
	Spaces     Spaces                // required
	Power      Power                 // required
	Endpoints  Endpoints             // required
	Ways       Ways                  // nil if all caches are reached alike
	Files      statefile.Dir         // required
	Outbox     *outbox.Outbox        // required
	Log        *slog.Logger          // required
	Registry   prometheus.Registerer // required
	Now        func() time.Time      // defaults to time.Now
	Inhibitors Inhibitors            // required
}

// Ways lead to binary caches.
type Ways interface {
	// Assigned says which caches are the controller's, and the token for those;
	// zero for none.
	Assigned(caches []string, token proto.CacheToken)
}

// Identity says which process this is.
type Identity struct {
	Version      string
	Executable   string // absolute path, below the store on a real host
	InvocationID string // systemd's, from the environment
	BootID       string
	MachineID    string // empty if the machine has none
	Instance     string // tells the machine from others; empty if nothing does, or nobody wants to know
}

// A Bus carries the contract to and from the controller. *bus.Host is one.
type Bus interface {
	// Doorbell has a value when the desired state may have changed, when
	// somebody asks for a reconciliation, and after every connection.
	Doorbell() <-chan struct{}
	// Desired returns the desired state as it was published, unverified.
	Desired(ctx context.Context) (bus.Raw, error)
	PublishStatus(ctx context.Context, s proto.Status) error
	PublishEvent(ctx context.Context, e proto.Event) (uint64, error)
	PublishLog(ctx context.Context, l proto.Log) error
	Heartbeat(ctx context.Context, h proto.Heartbeat) error
}

// A Link says how the connection is. *bus.Conn is one.
type Link interface {
	// Watch returns the state and a channel that is closed when it changes.
	Watch() (bus.State, <-chan struct{})
	// AwaitConnected returns nil once there is a connection, or why there is none when
	// ctx ends.
	AwaitConnected(ctx context.Context) error
}

// A Fetcher makes a system present and finds out whether it can be gone to.
// Fetch is idempotent, and called one at a time. A *closure.Rejection says why the
// system cannot be had, or must not be.
type Fetcher interface {
	Fetch(ctx context.Context, o closure.FetchOrder) (Fetched, error)
	// Examine is Fetch for a system that has to be here already. The error wraps
	// [closure.ErrGone] if it is known not to be.
	Examine(ctx context.Context, toplevel proto.StorePath) (Fetched, error)
	// GiveUp lets go of what fetches that did not succeed have brought so far; without
	// any it does nothing.
	GiveUp() error
	// Brought returns the size of all store paths that fetches brought since the
	// start, as far as it was known what was missing.
	Brought() uint64
}

// Spaces are the file systems that deployments write to.
type Spaces interface {
	Look() []closure.Space
}

// Fetched is what a system that is present says of itself.
type Fetched struct {
	// Specialisation is the one that it runs in by its own configuration. All that
	// follows is of that.
	Specialisation deployment.Specialisation
	Probation      deployment.Probation // how it is judged
	Reboot         []string             // what of it takes effect with a reboot only
	// Inhibitors are why the running system must not be switched to it.
	Inhibitors []string
	// Unprotected is why the boot loader could not boot it for trial and fall back
	// by itself; empty if it can.
	Unprotected string
	// Unjudged is why nobody would judge it in a trial boot; nil if somebody does.
	Unjudged error
}

// A Guard runs transactions in processes that outlive the agent.
type Guard interface {
	// Ensure sees to it that d's transaction runs. If it runs already, nothing
	// changes.
	Ensure(ctx context.Context, d deployment.Deployment) error
}

// A Keeper keeps valid what the host connects with.
type Keeper interface {
	// Keep keeps the credentials valid until ctx ends.
	Keep(ctx context.Context) error
	// State says how it stands with them.
	State() credentials.State
}

// Systems reads and keeps the systems of this host.
type Systems interface {
	// Systems reads what runs, what was booted and what the profile names.
	Systems() (proto.Systems, error)
	// RebootPending returns what of the running system takes effect with a reboot
	// only.
	RebootPending() ([]string, error)
	// Configured returns the specialisation that the own configuration of toplevel,
	// which is present, names. It is the same at all times.
	Configured(toplevel proto.StorePath) (deployment.Specialisation, error)
	// Registered returns what the generation of that number of the system profile
	// is; zero if there is none.
	Registered(number proto.Generation) (proto.StorePath, error)
	// Switching reports whether a switch of the system runs, whoever began it.
	Switching() bool
	// Adopt keeps p, a system that runs and is registered, as proven, durably.
	Adopt(p deployment.Proven) error
}

var (
	_ Bus  = (*bus.Host)(nil)
	_ Link = (*bus.Conn)(nil)

	_ Keeper = (*credentials.Keeper)(nil)
)

// An Agent reconciles one host. Make one with [New].
type Agent struct {
	Options
	metrics  *metrics
	reported *reportCursor
	followed followedCursor

	report  chan struct{} // something that a status says may have changed
	told    chan struct{} // all events that there were may be published by now
	fetched chan fetchResult
	hooked  chan hookResult
	asks    chan ask

	// Of the reconciler only.
	record     deployment.Deployment // as last observed
	fetch      *fetch                // the one under way
	heldUp     *fetch                // the last one whose end was not waited for
	hooking    *hookRun              // those under way
	unrecorded error                 // why the last result of either could not be recorded
	connects   uint64                // connections that were seen
	blind      int                   // observations in a row that failed
	rung       bool                  // somebody asked for a retry, for which it is too soon
	complaints complaints
	remembered string // ID of the last deployment that is in the history
	overridden string // ID and phase of the deployment that vetoes held back for too long
	lease      heldLease
	givenBack  string // ID of the deployment whose lease was given back
	drift      driftSeen
	silence    silence
	heard      time.Time // when there last was contact
	begun      time.Time // when the reconciler was
	shall      shallRun  // of the proven system
	// inhibitorsKnown is true once they were asked since the last look at the host.
	inhibitorsKnown bool
	// specialised is true once the host ran, in this boot, in the specialisation that
	// it shall run in.
	specialised bool

	mu      sync.Mutex
	view    view          // guarded by mu
	changed chan struct{} // guarded by mu; closed when view changes; nil if nobody waits
}

// A view is what the agent last saw and decided.
type view struct {
	desired *proto.Desired // the newest that was read
	order   *proto.Order   // from desired, if it was verified
	refusal *proto.RefusalError
	read    bool // the desired state was asked for, and there was an answer
	// refusals and deployments count since the agent's start, by reason and by
	// verdict.
	refusals    map[proto.Reason]float64
	deployments map[proto.Verdict]float64
	rollbacks   map[proto.Reason]float64 // likewise, why
	// hookFailures count likewise, by point.
	hookFailures map[hook.Point]float64
	// pruned and pruneFailures count deleted generations, and when they could not
	// be.
	pruned, pruneFailures float64
	settled               deployment.Deployment // whose system the host rests on; see Observation.settled
	decision              Decision
	decidedOn             proto.Serial              // of the assignment that decision is about
	since                 time.Time                 // of decision
	stateErr              error                     // why the state files cannot be read
	contact               time.Time                 // when desired was last read and verified
	inhibitors            vetoes                    // besides those in files
	shall                 deployment.Specialisation // that the proven system runs in by its own configuration
	boot                  statefile.Boot
	verifying             bool  // the store is being verified, and nothing is begun
	verifyErr             error // why it could not be
}

// decidedOnDesired reports whether the desired state was read, and the decision is about
// that.
func (v view) decidedOnDesired() bool {
	return v.read && (v.order == nil || v.order.Assignment.Serial == v.decidedOn)
}

// New returns an agent for o. It registers its metrics.
func New(o Options) (*Agent, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := o.Files.Prepare(); err != nil {
		return nil, fmt.Errorf("prepare state directories: %w", err)
	}
	o.Files = o.Files.Kept()
	a := &Agent{
		Options:  o,
		reported: newReportCursor(o.Files),
		followed: newFollowedCursor(o.Files),
		report:   make(chan struct{}, 1),
		told:     make(chan struct{}, 1),
		fetched:  make(chan fetchResult, 1),
		asks:     make(chan ask),
		hooked:   make(chan hookResult, 1),
		view: view{
			refusals: map[proto.Reason]float64{}, deployments: map[proto.Verdict]float64{}, rollbacks: map[proto.Reason]float64{},
			hookFailures: map[hook.Point]float64{},
		},
	}
	if _, err := a.Files.Floor(); err != nil { // before anything else is written; whoever verifies says so again
		a.Log.Error("what was accepted before cannot be known; nothing is accepted", "err", err)
	}
	a.metrics = newMetrics(a)
	if err := o.Registry.Register(a.metrics); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return a, nil
}

// Run reconciles until ctx ends, or the host has another configuration for the agent
// (see [Start]), and then returns nil. A deployment that is under way goes on without
// it.
//
// On disk at any time: the record (deployment.json), what was proven
// (proven.json), the floors of what was accepted (floors.json), whether somebody
// suspended the agent (suspension.json), which end was followed by its hooks
// (hooks.json), how the last deployments ended (history.json), how the last boot
// ended and whether the store is whole (boot.json), that generations are being
// deleted (pruning.json), that there is no last resort any more (resort.json), which
// steps of the record were told at its last rest, or its agent's (reported.json), and
// other events that were not yet acknowledged (outbox/), to which a record's steps come
// before it is replaced.
func (a *Agent) Run(ctx context.Context) error {
	a.beginBoot(ctx)
	defer a.endBoot(context.WithoutCancel(ctx))
	g, ctx := errgroup.WithContext(ctx)
	for name, f := range map[string]func(context.Context) error{
		"reconciler": a.reconcile,
		"reporter":   a.reportStatus,
		"verifier":   a.verifyStore,
		"outbox":     a.drainOutbox,
		"outputs":    a.sendOutputs,
		"heartbeat":  a.heartbeat,
		"tidier":     a.tidy,
		"keeper":     a.Keeper.Keep,
	} {
		g.Go(func() error {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	if err := g.Wait(); !errors.Is(err, errOutdated) {
		return err
	}
	return nil
}

// look returns what the agent last saw and decided.
func (a *Agent) look() view {
	v, _ := a.watch()
	return v
}

// watch returns what look does, and a channel that is closed when it changes.
func (a *Agent) watch() (view, <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.changed == nil {
		a.changed = make(chan struct{})
	}
	v := a.view
	v.refusals, v.deployments, v.hookFailures = maps.Clone(v.refusals), maps.Clone(v.deployments), maps.Clone(v.hookFailures)
	v.rollbacks = maps.Clone(v.rollbacks)
	return v, a.changed
}

// change changes what look returns, and has it reported.
func (a *Agent) change(f func(v *view)) {
	a.mu.Lock()
	f(&a.view)
	if a.changed != nil {
		close(a.changed)
		a.changed = nil
	}
	a.mu.Unlock()
	ring(a.report)
}

// ring leaves a value in c, unless there is one.
func ring(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// rejection returns the reason that err carries.
func rejection(err error) proto.Reason {
	if r, ok := errors.AsType[*closure.Rejection](err); ok {
		return r.Reason
	}
	return proto.ReasonFetchFailed
}
