package hosts

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
)

const (
	// machineDevice is the name of a machine's own network device.
	machineDevice = "eth0"
	// lanDevice is a router's device towards its machine.
	lanDevice = "lan0"
)

// A cable connects a machine's network device with its router, or with the WAN if the machine is public. It has a namespace of
// its own with the other ends of both, so that it can be pulled and made bad without either noticing more than that.
type cable struct {
	own     namespace
	machine namespace    // the machine's end
	addr    netip.Prefix // the machine's address
	gateway netip.Addr

	mu        sync.Mutex // guards what follows, and every change to the devices
	unplugged bool
	line      Line
	relay     *relay // carries the frames while the line is not perfect
}

func newCable(n *Network, o Options, i int) *cable {
	base := fmt.Sprintf("%s.%s", markOf(n.options.Fleet), o.Name)
	c := &cable{own: namespace(base + ".cable"), machine: namespace(base), addr: lanAddr(i), gateway: routerAddr(i).Addr()}
	if o.Public {
		c.addr, c.gateway = wanAddr(i), gatewayAddr().Addr()
	}
	return c
}

// create makes the cable and plugs its end into the device port, newly made in namespace far.
func (c *cable) create(ctx context.Context, far namespace, port string) error {
	if err := c.own.add(ctx); err != nil {
		return err
	}
	return c.own.ip(ctx,
		"link add wire type bridge",
		"link set wire up addrgenmode none",
		fmt.Sprintf("link add far type veth peer name %s netns %s", port, far),
		"link set far up addrgenmode none")
}

// lay gives the machine a fresh network device, as a boot does: nothing that an earlier boot configured is left, but the cable
// is plugged in or not, and as good or bad, as before. The device has the address of the one before, as a real one would:
// neighbours remember it.
func (c *cable) lay(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.removeDevice(ctx); err != nil {
		return err
	}
	if err := c.machine.add(ctx); err != nil {
		return err
	}
	if err := c.own.ip(ctx,
		fmt.Sprintf("link add near type veth peer name %s address %s netns %s", machineDevice, hardwareAddr(c.addr.Addr()), c.machine),
		"link set near addrgenmode none",
	); err != nil {
		return err
	}
	if err := c.machine.ip(ctx,
		fmt.Sprintf("addr add %s dev %s", c.addr, machineDevice),
		fmt.Sprintf("link set %s up", machineDevice),
		fmt.Sprintf("route add default via %s", c.gateway),
	); err != nil {
		return err
	}
	return c.connect(ctx)
}

// laid reports whether the machine has its network device. c.mu is held.
func (c *cable) laid() bool {
	_, err := os.Stat(c.machine.path())
	return err == nil
}

// removeDevice removes the machine's network device, if it has one. c.mu is held.
func (c *cable) removeDevice(ctx context.Context) error {
	if !c.laid() {
		return nil
	}
	return errors.Join(c.endRelay(), c.own.ip(ctx, "link delete near"), c.machine.remove(ctx))
}

// endRelay ends the relay, if there is one. c.mu is held.
func (c *cable) endRelay() error {
	if c.relay == nil {
		return nil
	}
	err := c.relay.close()
	c.relay = nil
	return err
}

// connect lets frames pass as the line and the plug say. c.mu is held.
func (c *cable) connect(ctx context.Context) error {
	if err := c.endRelay(); err != nil {
		return err
	}
	master, state := "master wire", "up"
	if c.line != (Line{}) {
		master = "nomaster"
	}
	if c.unplugged {
		state = "down"
	}
	if err := c.own.ip(ctx,
		"link set far "+master,
		fmt.Sprintf("link set near %s %s", master, state),
	); err != nil {
		return err
	}
	if c.line == (Line{}) {
		return nil
	}
	relay, err := startRelay(c.own, "near", "far", c.line)
	if err != nil {
		return err
	}
	c.relay = relay
	return nil
}

// change applies f to the cable, now if the machine has its device, and for the boots to come.
func (c *cable) change(ctx context.Context, f func()) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	if !c.laid() {
		return nil
	}
	return c.connect(ctx)
}

// remove removes the cable and the machine's network device. It is no error if there is none.
func (c *cable) remove(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(c.removeDevice(ctx), c.own.remove(ctx))
}

// Unplug pulls the machine's network cable. It stays pulled over reboots until [Machine.Plug].
func (m *Machine) Unplug(ctx context.Context) error {
	return m.cable.change(ctx, func() { m.cable.unplugged = true })
}

// Plug plugs the network cable in again.
func (m *Machine) Plug(ctx context.Context) error {
	return m.cable.change(ctx, func() { m.cable.unplugged = false })
}

// Shape makes the machine's network line slow, long or lossy, over reboots; the zero Line makes it perfect again. A line that is not
// perfect is carried by this process: when it ends, the line is dead, also in a network that outlives it.
func (m *Machine) Shape(ctx context.Context, l Line) error {
	return m.cable.change(ctx, func() { m.cable.line = l })
}
