package agent

import (
	"net"
	"path"
	"strings"
)

// unixPrefix stands before the path of a socket.
const unixPrefix = "unix:"

// maxSocketPath is what Linux has room for, in bytes.
const maxSocketPath = 107

// MetricsConfig says where Prometheus finds the agent.
type MetricsConfig struct {
	Listen string `config:"listen"` // host:port, or unix: and an absolute path; empty for nowhere
	// Textfile is a file for node_exporter, whose name ends in .prom; empty for none.
	Textfile string `config:"textfile"`
}

func (c MetricsConfig) validate(p *problems) {
	if socket, is := strings.CutPrefix(c.Listen, unixPrefix); is {
		p.check(path.IsAbs(socket) && len(socket) <= maxSocketPath, "metrics.listen: must be unix: and an absolute path of at most %d bytes, got %q", maxSocketPath, c.Listen)
	} else if c.Listen != "" {
		_, _, err := net.SplitHostPort(c.Listen)
		p.check(err == nil, `metrics.listen: must be host:port or such as "unix:/run/kedge/metrics.sock", got %q`, c.Listen)
	}
	p.check(c.Textfile == "" || path.IsAbs(c.Textfile) && path.Ext(c.Textfile) == ".prom",
		"metrics.textfile: must be an absolute path that ends in .prom, got %q", c.Textfile)
}
