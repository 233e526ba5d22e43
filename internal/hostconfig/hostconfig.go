// Package hostconfig writes the part of a host's configuration that comes of its
// enrolment.
package hostconfig

import (
	"fmt"
	"strings"

	"kedge/proto"
)

// Credentials is where a host's configuration expects its credentials.
const Credentials = "/var/lib/kedge/host.creds"

// Text returns the part of a host's agent.yaml that says who it is, where to connect
// and whom to trust.
func Text(host proto.HostName, credentialsFile string, enrolment []string, r proto.HostAddReply) string {
	var b strings.Builder
	list := func(indent, key string, values []string) {
		fmt.Fprintf(&b, "%s%s:\n", indent, key)
		for _, v := range values {
			fmt.Fprintf(&b, "%s  - %q\n", indent, v)
		}
	}
	fmt.Fprintf(&b, "host: %q\nnats:\n", host)
	list("  ", "servers", r.Servers)
	fmt.Fprintf(&b, "  credentials_file: %q\n", credentialsFile)
	if len(enrolment) > 0 {
		list("  ", "renew_urls", enrolment)
	}
	if len(r.Pins) > 0 {
		b.WriteString("  tls:\n")
		list("    ", "pins", texts(r.Pins))
	}
	b.WriteString("trust:\n")
	list("  ", "release_keys", texts(r.ReleaseKeys))
	if r.ReleaseThreshold > 1 {
		fmt.Fprintf(&b, "  release_threshold: %d\n", r.ReleaseThreshold)
	}
	list("  ", "controller_keys", texts(r.ControllerKeys))
	list("  ", "cache_keys", r.CacheKeys)
	list("", "caches", r.Caches)
	return b.String()
}

// texts returns how each of values is written.
func texts[T fmt.Stringer](values []T) []string {
	var s []string
	for _, v := range values {
		s = append(s, v.String())
	}
	return s
}
