// Package forwarded tells who is behind a proxy.
package forwarded

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// header is the header in which each proxy on the way adds from whom it had the
// request.
const header = "X-Forwarded-For"

// Believing has h take what comes from proxies, by their addresses, for what came from
// the client that they name. What anybody else names is not believed.
func Believing(proxies []netip.Prefix, h http.Handler) http.Handler {
	if len(proxies) == 0 {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		if err == nil {
			if client := behind(proxies, from.Addr().Unmap(), r.Header.Values(header)); client != from.Addr().Unmap() {
				believed := *r // headers and all else are the same
				believed.RemoteAddr = net.JoinHostPort(client.String(), "0")
				r = &believed
			}
		}
		h.ServeHTTP(w, r)
	})
}

// behind returns who is behind an address: the last of those that the headers name who
// is no proxy of ours.
func behind(proxies []netip.Prefix, address netip.Addr, headers []string) netip.Addr {
	named := strings.Split(strings.Join(headers, ","), ",")
	for _, text := range slices.Backward(named) {
		if !slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(address) }) {
			break
		}
		before, ok := parseForwarded(strings.TrimSpace(text))
		if !ok {
			break
		}
		address = before
	}
	return address
}

// parseForwarded parses an address, with or without a port.
func parseForwarded(text string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return a.Unmap().WithZone(""), true
	}
	a, err := netip.ParseAddrPort(text)
	return a.Addr().Unmap().WithZone(""), err == nil
}
