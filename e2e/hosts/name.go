package hosts

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
)

const (
	// mark begins the name of everything that a fleet has outside its own directory, so that leftovers are found.
	mark = "kedge-e2e"
	// Dir holds the disks and logs of all fleets, one directory each. It must be on a file system that overlayfs can
	// write to.
	Dir = "/var/tmp/" + mark
	// maxLabel bounds names, so that every path of a socket derived from two of them fits into the 107 bytes there are.
	maxLabel = 24
)

// checkLabel returns an error unless name is a DNS label short enough. A label has no dot: names put together with dots
// can be taken apart again.
func checkLabel(what, name string) error {
	bad := func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' }
	if name == "" || len(name) > maxLabel || strings.ContainsFunc(name, bad) || strings.Trim(name, "-") != name {
		return fmt.Errorf("%s name %q: must be a DNS label of at most %d characters [a-z0-9-]", what, name, maxLabel)
	}
	return nil
}

// fleetDir is the directory with the disks of fleet.
func fleetDir(fleet string) string { return filepath.Join(Dir, fleet) }

// markOf begins the names of the fleet's namespaces, and is the name of its cgroup and its lock.
func markOf(fleet string) string { return mark + "." + fleet }

// maxMachines is how many machines a network has addresses for.
const maxMachines = 200

// The networks of a fleet. Every fleet has the same ones: they are in namespaces of their own.
// The internet between the hosts is 198.51.100.0/24 (TEST-NET-2); the private network of host number i is 10.77.i.0/24.

// gatewayAddr is the address of the WAN's own end, from which [Network.Run] and [Network.DialContext] reach out.
func gatewayAddr() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, 1}), 24)
}

// wanAddr is what the internet sees of machine number i: itself if it is public, else its router.
func wanAddr(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(10 + i)}), 24)
}

// routerAddr is the inner address of the router of machine number i.
func routerAddr(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 77, byte(i), 1}), 24)
}

// lanAddr is the address of machine number i behind its router.
func lanAddr(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 77, byte(i), 2}), 24)
}

// hardwareAddr is the address of the network device that has the IPv4 address ip: locally administered, and made of that.
func hardwareAddr(ip netip.Addr) net.HardwareAddr {
	return append(net.HardwareAddr{2, 0}, ip.AsSlice()...)
}
