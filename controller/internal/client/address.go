// Package client tells the clients of an HTTP server apart.
package client

import (
	"net"
	"net/http"
	"net/netip"
)

// Address returns where r comes from, without the port. What a proxy claims is not
// believed here: whoever believes it has written it into r before.
func Address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return "unknown"
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().WithZone("").String()
	}
	return "unknown"
}
