package hosts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
)

// Options say what kind of machine to make.
type Options struct {
	Name string // required; a DNS label of at most 24 characters, unique in the network
	// Public attaches the machine to the WAN directly, with an address that everybody reaches. Other machines get a router
	// of their own that lets them out and nobody in.
	Public bool
	// Inbound makes the router of a machine that is not public forward TCP port 22 to it.
	Inbound bool
	// DiskBytes gives the machine a disk of its own of that size, to fill it up. 0 leaves it as much as this machine has. An
	// empty file system takes some megabytes of it.
	DiskBytes int64
	// Rootfs is a root file system for this machine alone, in place of the network's.
	Rootfs string
	// Layers lie over the root file system, the topmost first: directories that [Machine.Freeze] made. They must stay for as
	// long as the machine.
	Layers []string
}

// A Machine is a test host. It is either off, or in a boot, which is ready once its systemd has started everything. Its
// methods may be called concurrently.
type Machine struct {
	network *Network
	options Options
	index   int
	log     *slog.Logger
	disk    disk
	cgroup  cgroup
	cable   *cable

	button  sync.Mutex     // held while the power is switched on or cut
	keeping sync.WaitGroup // those who start the machine again when it reboots

	mu      sync.Mutex // guards what follows
	power   power
	changed chan struct{} // closed and replaced whenever power, or what can be seen of its boot, changes
}

func newMachine(n *Network, o Options, index int) *Machine {
	dir := filepath.Join(fleetDir(n.options.Fleet), o.Name)
	lower := append(slices.Clone(o.Layers), cmp.Or(o.Rootfs, n.options.Rootfs))
	return &Machine{
		network: n,
		options: o,
		index:   index,
		log:     n.options.Log.With("machine", o.Name),
		disk:    disk{dir: dir, lower: lower, size: o.DiskBytes},
		cgroup:  cgroup(filepath.Join(markOf(n.options.Fleet), o.Name)),
		cable:   newCable(n, o, index),
		changed: make(chan struct{}),
	}
}

// create makes the machine's disk and its place in the network.
func (m *Machine) create(ctx context.Context, hostsFile string) error {
	if err := m.disk.mount(ctx); err != nil {
		return err
	}
	for path, content := range map[string]string{
		"/etc/hostname":   m.options.Name + "\n",
		"/etc/hosts":      hostsFile,
		"/etc/machine-id": newMachineID() + "\n",
	} {
		if err := m.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return m.connect(ctx)
}

// connect lays the cable to the WAN, or to a router of the machine's own.
func (m *Machine) connect(ctx context.Context) error {
	if m.options.Public {
		port := wanPort(m.index)
		if err := m.cable.create(ctx, m.network.wan, port); err != nil {
			return err
		}
		return m.network.wan.ip(ctx, fmt.Sprintf("link set %s master wan up", port))
	}
	router := namespace(string(m.namespace()) + ".router")
	if err := m.network.addRouter(ctx, router, m.index, m.options.Inbound); err != nil {
		return err
	}
	if err := m.cable.create(ctx, router, lanDevice); err != nil {
		return err
	}
	return router.ip(ctx,
		fmt.Sprintf("addr add %s dev %s", routerAddr(m.index), lanDevice),
		fmt.Sprintf("link set %s up", lanDevice))
}

// Destroy cuts the power and removes the machine's disk; its place in the network stays with the network. It may be called
// again.
func (m *Machine) Destroy(ctx context.Context) error {
	err := m.PowerCut(ctx)
	m.keeping.Wait()
	return errors.Join(err, m.cable.remove(ctx), m.disk.remove())
}

// Freeze moves what has been written to the machine's disk to dir, which must not exist: a layer for other machines. The machine
// must be off, without a disk of its own size, and can only be destroyed then. It fails with [ErrOn] if the machine is on.
func (m *Machine) Freeze(dir string) error {
	m.button.Lock()
	defer m.button.Unlock()
	if s, _ := m.observe(); s.on() {
		return fmt.Errorf("freeze the disk of %s: %w", m.options.Name, ErrOn)
	}
	return m.disk.freeze(dir)
}

// Name returns the machine's name, which is also its host name.
func (m *Machine) Name() string { return m.options.Name }

// Addr returns the address of the machine's own network device.
func (m *Machine) Addr() netip.Addr {
	if m.options.Public {
		return wanAddr(m.index).Addr()
	}
	return lanAddr(m.index).Addr()
}

// WANAddr returns the address under which the internet sees the machine: its own if it is public, else its router's.
func (m *Machine) WANAddr() netip.Addr { return wanAddr(m.index).Addr() }

// Root returns the directory where the machine's disk is mounted, whether it runs or not. Absolute symbolic links in it point
// out of it: [Machine.ReadFile] and its siblings follow them as the machine does.
func (m *Machine) Root() string { return m.disk.root() }

// Dir returns the directory that goes away with the machine's disk.
func (m *Machine) Dir() string { return m.disk.dir }

// Console returns the path of the log of the machine's console, over all its boots.
func (m *Machine) Console() string { return filepath.Join(m.disk.dir, "console.log") }

// LeaderPID returns the process id, as this machine sees it, of the host's process 1, and 0 if the host is off.
func (m *Machine) LeaderPID() int {
	s, _ := m.observe()
	return s.leader()
}

// Running reports whether the machine is on, booted completely or not.
func (m *Machine) Running() bool {
	s, _ := m.observe()
	return s.on()
}

// Boots returns how often the machine has been started, by power or by reboot.
func (m *Machine) Boots() int {
	s, _ := m.observe()
	return s.boots
}

// namespace is where the machine's own network device lives.
func (m *Machine) namespace() namespace { return m.cable.machine }
