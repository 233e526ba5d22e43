package controller

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"

	"kedge/controller/internal/certificate"
	"kedge/controller/internal/natsd"
	"kedge/controller/internal/web"
	"kedge/internal/durable"
	"kedge/proto"
)

// Where things of the ports are below the state directory.
const (
	tlsKeyFile = "tls.pem"    // in keysDir; of a self-signed certificate
	accessFile = "admin.json" // a [proto.Access]
)

// openCertificate opens the certificate of all ports, unless there is to be none.
func (c *Controller) openCertificate() error {
	cfg := c.o.Config.HTTP
	if cfg.TLS == TLSOff {
		return nil
	}
	cert, err := certificate.Open(certificate.Options{
		CertificateFile: cfg.CertificateFile, KeyFile: cfg.KeyFile, OwnKeyFile: c.path(keysDir + "/" + tlsKeyFile),
		Names: certificateNames(c.o.Config), Now: c.o.Now, Log: c.log,
		Changed: func(proto.Pin) error { return c.writeAccess() },
	})
	if err != nil {
		return err
	}
	c.cert = cert
	return nil
}

// certificateNames returns everything that the controller is called.
func certificateNames(cfg Config) []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	for _, text := range slices.Concat(cfg.NATS.Advertise, cfg.Cache.own()) {
		u, err := url.Parse(text)
		if err == nil && u.Hostname() != "" && !slices.Contains(names, u.Hostname()) {
			names = append(names, u.Hostname())
		}
	}
	return names
}

// tlsFor returns what a port needs to speak TLS, for protocols that it names; nil
// for none.
func (c *Controller) tlsFor(protocols ...string) *tls.Config {
	if c.cert == nil {
		return nil
	}
	return c.cert.TLS(protocols...)
}

// watchCertificate keeps the certificate that of its files until ctx ends.
func (c *Controller) watchCertificate(ctx context.Context) error {
	if c.cert == nil {
		return nil
	}
	return c.cert.Run(ctx)
}

// pins returns what hosts have to pin: nothing if somebody vouches for us.
func (c *Controller) pins() []proto.Pin {
	others := c.o.Config.NATS.TLS.Pins // for hosts, one list is for NATS and the caches
	if c.cert == nil || !c.cert.SelfSigned() && len(others) == 0 {
		return others
	}
	return append([]proto.Pin{c.cert.Pin()}, others...)
}

// Pin returns the pin of the key that is shown now, if there is TLS.
func (c *Controller) Pin() (pin proto.Pin, ok bool) {
	if c.cert == nil {
		return proto.Pin{}, false
	}
	return c.cert.Pin(), true
}

// listen listens for everything that goes over HTTP.
func (c *Controller) listen(ctx context.Context, cache http.Handler, server *natsd.Server) (err error) {
	cfg := c.o.Config.HTTP
	p := pages{cache: cache, enrol: c.enrolment, hooks: c.webhooks, api: c.http, metrics: c.o.Registry, ready: c.keeper.ready, insiders: cfg.MetricsFrom, proxies: cfg.TrustedProxies}
	if cfg.Web {
		p.people = web.New(web.Options{API: c.http, Now: c.o.Now, Log: c.log})
	}
	if server != nil {
		p.nats, p.visitors = server.WebSocketAddress(), c.visitors
	}
	c.web, err = listenWeb(ctx, cfg.Listen, c.tlsFor("h2", "http/1.1"), p.handler(c.log), c.log)
	if err != nil {
		return err
	}
	c.closing("HTTP listener", func() error { return closed(c.web.listener.Close()) })
	if server != nil && c.o.Config.NATS.Listen == "" {
		c.natsURL = c.webSocketURL()
	}
	return nil
}

// webSocketURL returns where programs on this machine reach NATS through our own
// HTTP server.
func (c *Controller) webSocketURL() string {
	scheme := "ws"
	if c.cert != nil {
		scheme = "wss"
	}
	host, port, err := net.SplitHostPort(c.HTTPAddress())
	if ip := net.ParseIP(host); err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, port) + natsPath
}

// access says to operators elsewhere how to reach NATS.
func (c *Controller) access() proto.Access {
	a := proto.Access{Format: proto.Format1, Servers: c.advertised(), Pins: c.pins()}
	if c.o.Config.NATS.URL != "" { // our own key is none of those servers'
		a.Pins = c.o.Config.NATS.TLS.Pins
	}
	return a
}

// writeAccess says to operators on this machine how to reach NATS, once that is
// known, in the place of what held before.
func (c *Controller) writeAccess() error {
	if c.web == nil {
		return nil
	}
	a := proto.Access{Servers: []string{c.natsURL}}
	cfg := c.o.Config.NATS
	switch pin, ok := c.Pin(); {
	case cfg.URL != "":
		a = proto.Access{Servers: cfg.servers(), Pins: cfg.TLS.Pins, CAFile: cfg.TLS.CAFile}
	case ok:
		a.Pins = []proto.Pin{pin}
	}
	text, err := a.Encode()
	if err != nil {
		return err
	}
	if err := durable.WriteFile(c.path(accessFile), text, 0o600); err != nil {
		return fmt.Errorf("say how to reach NATS: %w", err)
	}
	return nil
}
