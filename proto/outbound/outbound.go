package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"kedge/proto"
)

// Options say how to get out. The zero value trusts the system's roots, and goes
// through the proxy that the environment names.
type Options struct {
	// CAFile holds the certificates, in PEM, of the authorities to trust in
	// place of the system's. It is read at each connection.
	CAFile string
	// Pins are keys of servers to trust in place of any authority; not together
	// with CAFile.
	Pins []proto.Pin
	// Proxy is the URL of the HTTP proxy that everything goes through, with a
	// user and a password if it wants them; empty for what HTTPS_PROXY,
	// HTTP_PROXY and NO_PROXY say. ProxyFile holds it instead.
	Proxy, ProxyFile string
	// Direct are the hosts that are reached without Proxy: names, which stand for
	// what is below them too, addresses, and networks such as 10.0.0.0/8.
	Direct []string
}

// Problems returns what is wrong with o, each beginning with its key.
func (o Options) Problems() []error {
	var problems []error
	if o.CAFile != "" && len(o.Pins) > 0 {
		problems = append(problems, errors.New("nats.tls.ca_file: must be empty where nats.tls.pins names keys"))
	}
	if o.Proxy != "" && o.ProxyFile != "" {
		problems = append(problems, errors.New("proxy.url: must be empty where proxy.url_file is set"))
	}
	if o.Proxy != "" {
		if _, err := parseProxy(o.Proxy); err != nil {
			problems = append(problems, fmt.Errorf("proxy.url: %w", err))
		}
	}
	for _, d := range o.Direct {
		if d == "" || strings.Contains(d, "://") {
			problems = append(problems, fmt.Errorf("proxy.direct: must be names, addresses or networks, got %q", d))
		}
	}
	return problems
}

// Trusts reports whether o says whom to trust: then nothing but TLS will do.
func (o Options) Trusts() bool { return o.CAFile != "" || len(o.Pins) > 0 }

// keepAlive is how often a silent connection is looked after.
const keepAlive = 30 * time.Second

// DialContext connects to address, through the proxy if there is one. It is
// for TLS and NATS; HTTP goes by [Options.Transport].
func (o Options) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{KeepAlive: keepAlive}
	proxy, err := o.proxyFor(&url.URL{Scheme: "https", Host: address})
	switch {
	case err != nil:
		return nil, err
	case proxy == nil:
		return d.DialContext(ctx, network, address)
	}
	return connect(ctx, &d, proxy, address)
}

// Transport returns a transport for HTTP that gets out as o says. It keeps the
// authorities that the CA file names now.
func (o Options) Transport() (*http.Transport, error) {
	trust, err := o.TLS()
	if err != nil {
		return nil, err
	}
	return &http.Transport{
		Proxy: func(r *http.Request) (*url.URL, error) {
			proxy, err := o.proxyFor(r.URL)
			return plain(proxy), err
		},
		DialContext:       o.dialHTTP,
		TLSClientConfig:   trust,
		ForceAttemptHTTP2: true,
		OnProxyConnectResponse: func(_ context.Context, proxy *url.URL, req *http.Request, resp *http.Response) error {
			if named, err := o.proxyFor(&url.URL{Scheme: "https", Host: req.Host}); err == nil && named != nil {
				proxy = named
			}
			return refusal(proxy, req.Host, resp)
		},
		TLSHandshakeTimeout:   connectTimeout,
		ResponseHeaderTimeout: time.Minute,
		IdleConnTimeout:       time.Minute,
	}, nil
}

// proxyFor returns the proxy on the way to u; nil if there is none.
func (o Options) proxyFor(u *url.URL) (*url.URL, error) {
	text := o.Proxy
	if o.ProxyFile != "" {
		b, err := os.ReadFile(o.ProxyFile)
		if err != nil {
			return nil, fmt.Errorf("read the proxy's URL: %w", err)
		}
		text = strings.TrimSpace(string(b))
	}
	if text == "" {
		proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u})
		if err != nil || proxy != nil && proxy.Scheme != "http" && proxy.Scheme != "https" {
			// An error of its own would hold the URL, which may have a password.
			return nil, errors.New("HTTPS_PROXY or HTTP_PROXY in the environment: must be the URL of an HTTP proxy")
		}
		return proxy, nil
	}
	if o.direct(u.Hostname()) {
		return nil, nil //nolint:nilnil // as http.Transport.Proxy has it
	}
	return parseProxy(text)
}

// direct reports whether host is reached without the proxy.
func (o Options) direct(host string) bool {
	ip := net.ParseIP(host)
	if host == "localhost" || ip != nil && ip.IsLoopback() {
		return true // as with the environment's
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return slices.ContainsFunc(o.Direct, func(d string) bool {
		if _, network, err := net.ParseCIDR(d); err == nil {
			return ip != nil && network.Contains(ip)
		}
		if other := net.ParseIP(d); other != nil {
			return other.Equal(ip)
		}
		d = strings.Trim(strings.ToLower(d), ".")
		return host == d || strings.HasSuffix(host, "."+d)
	})
}

// parseProxy parses the URL of a proxy. The error does not hold it.
func parseProxy(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("must be the URL of an HTTP proxy, such as http://proxy.example.org:3128")
	}
	return u, nil
}

// TLS returns whom to trust, for a client; nil for the system's roots.
func (o Options) TLS() (*tls.Config, error) {
	switch {
	case len(o.Pins) > 0:
		return &tls.Config{
			MinVersion: tls.VersionTLS12,
			// Not skipped, but done by verify.
			InsecureSkipVerify: true, //nolint:gosec // see above
			VerifyConnection:   o.verify,
		}, nil
	case o.CAFile != "":
		roots, err := o.Roots()
		return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}, err
	}
	return nil, nil //nolint:nilnil // as in http.Transport
}

// Roots reads the authorities in the CA file.
func (o Options) Roots() (*x509.CertPool, error) {
	b, err := os.ReadFile(o.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read the authorities to trust: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("read the authorities to trust: %s holds no certificate in PEM", o.CAFile)
	}
	return pool, nil
}

// verify reports why the key of the server at the other end of a connection is
// none of the pins, or nil. Its certificate may say what it will.
func (o Options) verify(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("the server shows no certificate")
	}
	pin := proto.PinOf(state.PeerCertificates[0])
	if slices.Contains(o.Pins, pin) {
		return nil
	}
	trusted := "others are"
	if len(o.Pins) == 1 {
		trusted = o.Pins[0].String() + " is"
	}
	return fmt.Errorf("the server's key is %s, and only %s trusted here: another server answers, or the pin is to be renewed (nats.tls.pins)", pin, trusted)
}
