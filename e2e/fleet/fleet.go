package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"kedge/e2e/hosts"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// Options say what fleet to set up.
type Options struct {
	Name  string   // required; unique among the fleets that run at a time
	Hosts []string // required
	Parts Parts    // required
	// Log hears what the harness does; nil for nobody.
	Log *slog.Logger
	// Grace is the hosts' probation.grace; zero for the agent's default.
	Grace time.Duration
	// Deadline is the hosts' probation.deadline; zero for a minute.
	Deadline time.Duration
	// DiskBytes is the size of each host's disk; zero for as much as there is.
	DiskBytes int64
	// Own makes the build host a host of its fleet, too, under its own name; hosts
	// named in Hosts are installed before it.
	Own bool
	// Inbound lets the build host reach the hosts by SSH, for benchmarks.
	Inbound bool
	// Terse has the agents log no more than they do by default, for benchmarks.
	Terse bool
	// Computers are names of further hosts, which run on computers with a real
	// boot loader (package vm); Bootable is what [vm.Prepare] returned, and
	// required if there are any.
	Computers []string
	Bootable  string
	// GRUB are those of Computers whose boot loader is GRUB; the others' is
	// systemd-boot.
	GRUB []string
	// Plain does without TLS, and opens the cache to all.
	Plain bool
	// Example makes the fleet that of examples/fleet, as it is but for what everybody
	// has to put into its agent.nix; the build host has the system that it says, too,
	// and Hosts are among its hosts. Of what else can be said here about hosts, only
	// Grace counts then.
	Example bool
	// Config is added to the configuration of every host's agent.
	Config string
	// Outlive leaves everything running when this process ends without Down.
	Outlive bool
}

// A Fleet is a build host and its hosts, all running.
type Fleet struct {
	options Options
	network *hosts.Network
	build   *buildHost
	hosts   map[string]*Host
	world   toplevel.Fleet // what was pushed last
	kernel  string         // store path of the computers' kernel; empty if there are none
}

// bootTimeout bounds the boot of a machine.
const bootTimeout = time.Minute

// Up sets up a fleet: the build host with the controller, then every host,
// installed with revision 0 of its system, enrolled, and running. With an
// error nothing is left behind.
func Up(ctx context.Context, o Options) (f *Fleet, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Deadline == 0 {
		o.Deadline = time.Minute
	}
	n, err := hosts.New(ctx, hosts.NetworkOptions{Fleet: o.Name, Rootfs: o.Parts.Rootfs, Log: o.Log, Outlive: o.Outlive})
	if err != nil {
		return nil, err
	}
	f = &Fleet{options: o, network: n, hosts: map[string]*Host{}, world: toplevel.Fleet{Hosts: map[string]toplevel.Host{}}}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Down(ctx))
			f = nil
		}
	}()
	if f.build, err = f.upBuildHost(ctx); err != nil {
		return f, fmt.Errorf("set up the build host: %w", err)
	}
	for _, name := range o.Hosts {
		if err := f.addHost(ctx, hosts.Options{Name: name, Inbound: o.Inbound, DiskBytes: o.DiskBytes}); err != nil {
			return f, err
		}
	}
	if len(o.Computers) > 0 {
		if f.kernel, err = f.AddToStore(ctx, f.linux()); err != nil {
			return f, err
		}
	}
	for _, name := range o.Computers {
		if err := f.addHost(ctx, hosts.Options{Name: name, Rootfs: o.Bootable}); err != nil {
			return f, err
		}
	}
	if o.Example {
		if err := f.enrolExample(ctx); err != nil {
			return f, fmt.Errorf("enrol the example's hosts: %w", err)
		}
	}
	var g errgroup.Group
	for _, h := range f.hosts {
		g.Go(func() error {
			if err := h.install(ctx); err != nil {
				return fmt.Errorf("set up %s: %w", h.Name(), err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return f, err
	}
	if o.Own {
		if err := f.addOwn(ctx); err != nil {
			return f, err
		}
	}
	for _, h := range f.hosts {
		f.world.Hosts[h.Name()] = h.system
	}
	return f, nil
}

// addHost makes a host's machine, off and with nothing installed.
func (f *Fleet) addHost(ctx context.Context, o hosts.Options) error {
	o.Layers = []string{f.options.Parts.layers.store}
	m, err := f.network.Machine(ctx, o)
	if err != nil {
		return err
	}
	f.hosts[o.Name] = &Host{Machine: m, fleet: f}
	f.world.Hosts[o.Name] = toplevel.Host{App: &toplevel.App{Text: "revision 0"}}
	return nil
}

// downTimeout bounds the removal of a fleet.
const downTimeout = time.Minute

// Down removes everything of the fleet, also when ctx has ended. It takes a
// minute at most.
func (f *Fleet) Down(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), downTimeout)
	defer cancel()
	for _, h := range f.hosts {
		if h.computer != nil {
			h.computer.PowerCut()
		}
	}
	return f.network.Destroy(ctx)
}

// Host returns the host of that name; there must be one.
func (f *Fleet) Host(name string) *Host { return f.hosts[name] }

// Hosts returns all hosts, by name.
func (f *Fleet) Hosts() []*Host {
	var hs []*Host
	for _, name := range slices.Sorted(maps.Keys(f.hosts)) {
		hs = append(hs, f.hosts[name])
	}
	return hs
}

// Build returns the build host's machine.
func (f *Fleet) Build() *hosts.Machine { return f.build.Machine }

// Push changes the fleet's flake, commits it on the build host, and pushes it
// to the repository that the controller watches.
func (f *Fleet) Push(ctx context.Context, message string, change func(w *toplevel.Fleet)) (proto.Revision, error) {
	rev, err := f.Commit(ctx, message, change)
	if err != nil {
		return rev, err
	}
	return rev, f.PushCommitted(ctx)
}

// Commit is the first half of Push: the change is in [Worktree] and committed
// there, and nobody else knows of it.
func (f *Fleet) Commit(ctx context.Context, message string, change func(w *toplevel.Fleet)) (proto.Revision, error) {
	change(&f.world)
	return f.build.commit(ctx, f.world, message)
}

// PushCommitted is the second half of Push. It returns when git has.
func (f *Fleet) PushCommitted(ctx context.Context) error { return f.build.push(ctx) }

// Kedge runs the command line on the build host.
func (f *Fleet) Kedge(ctx context.Context, args ...string) (stdout string, err error) {
	return f.build.Run(ctx, append([]string{"kedge"}, args...)...)
}
