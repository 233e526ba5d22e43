package hosts

import (
	"context"
	"fmt"
)

// inboundPort is the one port that a router with Options.Inbound lets in.
const inboundPort = 22

// addRouter makes the namespace ns a router that leads from the WAN to the private network of machine i: it masquerades what
// goes out and drops what comes in, but for the SSH port if inbound.
func (n *Network) addRouter(ctx context.Context, ns namespace, i int, inbound bool) error {
	if err := ns.add(ctx); err != nil {
		return err
	}
	port := wanPort(i)
	if err := n.wan.ip(ctx,
		fmt.Sprintf("link add %s type veth peer name wan0 netns %s", port, ns),
		fmt.Sprintf("link set %s master wan up", port),
	); err != nil {
		return err
	}
	if err := ns.ip(ctx,
		fmt.Sprintf("addr add %s dev wan0", wanAddr(i)),
		"link set wan0 up",
		fmt.Sprintf("route add default via %s", gatewayAddr().Addr()),
	); err != nil {
		return err
	}
	if _, err := ns.run(ctx, "1", "tee", "/proc/sys/net/ipv4/ip_forward"); err != nil {
		return fmt.Errorf("configure router %s: %w", ns, err)
	}
	if _, err := ns.run(ctx, routerRules(i, inbound), "nft", "-f", "-"); err != nil {
		return fmt.Errorf("configure router %s: %w", ns, err)
	}
	return nil
}

// routerRules returns the router's nftables ruleset.
func routerRules(i int, inbound bool) string {
	var forward, redirect string
	if inbound {
		forward = fmt.Sprintf("iifname wan0 oifname lan0 tcp dport %d accept", inboundPort)
		redirect = fmt.Sprintf("iifname wan0 tcp dport %d dnat to %s", inboundPort, lanAddr(i).Addr())
	}
	return fmt.Sprintf(`
table ip router {
	chain forward {
		type filter hook forward priority filter; policy drop;
		ct state established,related accept
		iifname lan0 oifname wan0 accept
		%s
	}
	chain input {
		type filter hook input priority filter; policy drop;
		iifname != wan0 accept
		ct state established,related accept
	}
	chain in {
		type nat hook prerouting priority dstnat;
		%s
	}
	chain out {
		type nat hook postrouting priority srcnat;
		oifname wan0 masquerade
	}
}
`, forward, redirect)
}

// wanPort is the name of the bridge port of machine i or its router.
func wanPort(i int) string { return fmt.Sprintf("p%d", i) }
