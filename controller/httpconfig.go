package controller

import (
	"errors"
	"fmt"
	"net/netip"
)

// An HTTPConfig says how everything but NATS' own port is served: the WebSocket
// of NATS, the binary cache, the enrolment, the metrics and the health checks.
type HTTPConfig struct {
	Listen string `config:"listen"`
	// TLS is whether HTTP and NATS speak TLS; off for a controller behind a proxy
	// that does, which must be the only way to it.
	TLS TLSMode `config:"tls"`
	// CertificateFile and KeyFile hold the certificate for both, in PEM, and are
	// read again when they change. Empty for a self-signed one, whose key hosts
	// pin.
	CertificateFile string `config:"certificate_file"`
	KeyFile         string `config:"key_file"`
	// Web is whether there are pages for a browser, too.
	Web bool `config:"web"`
	// MetricsFrom are the networks whose addresses may read /metrics, and what
	// exactly is wrong at /readyz. What came through another HTTP proxy may not.
	MetricsFrom []netip.Prefix `config:"metrics_from"`
	// TrustedProxies are the networks of HTTP proxies before this port that say in
	// X-Forwarded-For whose request it is. What others say there is not believed.
	TrustedProxies []netip.Prefix `config:"trusted_proxies"`
}

// A TLSMode is on or off.
type TLSMode string

// The modes of TLS.
const (
	TLSOn  TLSMode = "on"
	TLSOff TLSMode = "off"
)

func defaultHTTP() HTTPConfig {
	return HTTPConfig{
		Listen: "0.0.0.0:443", TLS: TLSOn, Web: true,
		MetricsFrom: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
	}
}

func (c HTTPConfig) problems() []error {
	problems := []error{address("http.listen", c.Listen)}
	if c.TLS != TLSOn && c.TLS != TLSOff {
		problems = append(problems, fmt.Errorf("http.tls: must be %s or %s, got %q", TLSOn, TLSOff, c.TLS))
	}
	if (c.CertificateFile == "") != (c.KeyFile == "") {
		problems = append(problems, errors.New("http.key_file: must be set together with http.certificate_file"))
	}
	if c.TLS == TLSOff && c.CertificateFile != "" {
		problems = append(problems, errors.New("http.certificate_file: must be empty where http.tls is off"))
	}
	if c.CertificateFile != "" {
		problems = append(problems, absolute("http.certificate_file", c.CertificateFile))
	}
	if c.KeyFile != "" {
		problems = append(problems, absolute("http.key_file", c.KeyFile))
	}
	for i, p := range c.TrustedProxies {
		if !p.IsValid() || p.Bits() == 0 {
			problems = append(problems, fmt.Errorf("http.trusted_proxies[%d]: must be the network of a proxy, such as 10.0.0.7/32", i))
		}
	}
	for i, p := range c.MetricsFrom {
		if !p.IsValid() {
			problems = append(problems, fmt.Errorf("http.metrics_from[%d]: must be a network, such as 10.0.0.0/8", i))
		}
	}
	return problems
}
