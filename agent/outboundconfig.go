package agent

import (
	"net/url"
	"path"
	"slices"

	"kedge/proto"
	"kedge/proto/outbound"
)

// TLSConfig says whom this host trusts to be its controller: for NATS, the
// caches of the controller, and the enrolment. Where it names somebody, nothing is
// said to NATS without TLS. Empty for the system's roots.
type TLSConfig struct {
	CAFile string      `config:"ca_file"` // authorities, in PEM; read at each connection
	Pins   []proto.Pin `config:"pins"`    // keys to trust without an authority, as `kedge host add` prints them
}

// ProxyConfig names the HTTP proxy on the way out. Without it HTTPS_PROXY,
// HTTP_PROXY and NO_PROXY count.
type ProxyConfig struct {
	// URL may hold a user and a password, if nobody else can read this file;
	// URLFile is a file with the URL.
	URL     string   `config:"url"`
	URLFile string   `config:"url_file"`
	Direct  []string `config:"direct"` // names, addresses and networks that are reached without it
}

func (c ProxyConfig) validate(p *problems, o outbound.Options) {
	p.check(c.URLFile == "" || path.IsAbs(c.URLFile), "proxy.url_file: must be an absolute path, got %q", c.URLFile)
	*p = append(*p, o.Problems()...)
}

// controllersCaches returns those of the configured caches that are at a NATS
// server's name, and so the controller's. They are shown the token, so none without TLS
// is among them; one that the assignment names is the controller's in any case.
func (c Config) controllersCaches() []string {
	names := map[string]bool{}
	for _, s := range c.NATS.Servers {
		if u, err := url.Parse(s); err == nil {
			names[u.Hostname()] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(c.Caches), func(cache string) bool {
		u, err := url.Parse(cache)
		return err != nil || u.Scheme != "https" || !names[u.Hostname()]
	})
}

// outbound returns how this host gets out.
func (c Config) outbound() outbound.Options {
	return outbound.Options{
		CAFile: c.NATS.TLS.CAFile, Pins: c.NATS.TLS.Pins,
		Proxy: c.Proxy.URL, ProxyFile: c.Proxy.URLFile, Direct: c.Proxy.Direct,
	}
}
