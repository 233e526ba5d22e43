// Package hosts runs test hosts on one machine: each with a real systemd as process 1, a disk that survives its power, and an
// address of its own. A host is a container of systemd-nspawn on an overlay of the shared root file system
// (package rootfs), booted through the firmware there as a real machine boots through its loader; most hosts live behind a
// router of their own that lets nothing in, as hosts behind a NAT do.
//
// Everything is done in namespaces, cgroups and directories marked with the name of the fleet. Nothing of the machine itself is
// changed, fleets do not see each other, and what a run that was killed left behind is found and removed by [Sweep].
package hosts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"

	"kedge/e2e/internal/command"
)

// NetworkOptions say how to make a [Network].
type NetworkOptions struct {
	Fleet  string       // required; a DNS label of at most 24 characters, unique among the fleets that run at a time
	Rootfs string       // required; the directory that [Prepare] returned
	Log    *slog.Logger // required
	// Outlive leaves the machines running when this process ends without [Network.Destroy]. Without it they lose their
	// power with the process, however it ends. A machine that outlived the process does not start again when it reboots.
	Outlive bool
}

// A Network is the small internet of one fleet, and the fleet's machines. Its methods may be called concurrently.
type Network struct {
	options NetworkOptions
	wan     namespace
	claim   *claim

	mu       sync.Mutex // guards machines
	machines []*Machine
}

// New makes an empty network, after removing what an earlier one of the same name left behind. It fails if a living process
// has a fleet of that name. Whoever made it calls [Network.Destroy].
func New(ctx context.Context, o NetworkOptions) (*Network, error) {
	if err := checkLabel("fleet", o.Fleet); err != nil {
		return nil, err
	}
	claim, err := claimFleet(o.Fleet)
	if err != nil {
		return nil, err
	}
	n := &Network{options: o, claim: claim, wan: namespace(markOf(o.Fleet) + ".wan")}
	if err := removeRemains(ctx, o.Fleet); err != nil {
		return nil, errors.Join(err, claim.release())
	}
	if err := n.lay(ctx); err != nil {
		return nil, errors.Join(err, n.Destroy(ctx))
	}
	return n, nil
}

// lay makes the WAN: one bridge in a namespace of its own.
func (n *Network) lay(ctx context.Context) error {
	if err := n.wan.add(ctx); err != nil {
		return err
	}
	return n.wan.ip(ctx,
		"link add wan type bridge",
		"link set wan up",
		fmt.Sprintf("addr add %s dev wan", gatewayAddr()))
}

// Machine adds a machine to the network: its disk, its address and its cable, with the power off.
func (n *Network) Machine(ctx context.Context, o Options) (*Machine, error) {
	if err := checkLabel("machine", o.Name); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if slices.ContainsFunc(n.machines, func(m *Machine) bool { return m.options.Name == o.Name }) {
		return nil, fmt.Errorf("add machine %s: there is one of that name", o.Name)
	}
	if len(n.machines) == maxMachines {
		return nil, fmt.Errorf("add machine %s: the network has addresses for %d machines only", o.Name, maxMachines)
	}
	m := newMachine(n, o, len(n.machines))
	n.machines = append(n.machines, m) // first, so that Destroy finds the half-made
	if err := m.create(ctx, n.hostsFile(m)); err != nil {
		return nil, fmt.Errorf("add machine %s: %w", o.Name, err)
	}
	return m, nil
}

// hostsFile returns the /etc/hosts of m: its own name and those of the public machines so far. n.mu is held.
func (n *Network) hostsFile(m *Machine) string {
	var content strings.Builder
	content.WriteString("127.0.0.1 localhost\n")
	for _, other := range n.machines {
		if other == m || other.options.Public {
			fmt.Fprintf(&content, "%s %s\n", other.Addr(), other.Name())
		}
	}
	return content.String()
}

// Run runs a program of this machine on the WAN, as somebody out on the internet would, and returns its standard output. It
// ends with the network at the latest.
func (n *Network) Run(ctx context.Context, argv ...string) (string, error) {
	group, err := cgroup(markOf(n.options.Fleet)).join("WAN").make()
	if err != nil {
		return "", fmt.Errorf("run %s: %w", argv[0], err)
	}
	defer group.Close() // a directory, only named at the start
	return command.Run(ctx, command.Command{
		Args:   append([]string{"nsenter", "--net=" + n.wan.path(), "--"}, argv...),
		Cgroup: group.Fd(),
	})
}

// DialContext connects from the WAN to a literal IP address and port.
func (n *Network) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return n.wan.dial(ctx, network, address)
}

// Destroy cuts the power of all machines and removes everything of the fleet, disks included. It may be called again.
func (n *Network) Destroy(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var errs []error
	for _, m := range n.machines {
		errs = append(errs, m.PowerCut(ctx))
		m.keeping.Wait()
	}
	n.machines = nil
	errs = append(errs, removeRemains(ctx, n.options.Fleet), n.claim.release())
	return errors.Join(errs...)
}
