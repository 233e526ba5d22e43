package outbound

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
)

// secured speaks TLS with the proxy at the other end of conn. The system's authorities
// vouch for it: pins and a CA file are about the servers behind it.
func secured(ctx context.Context, conn net.Conn, proxy *url.URL) (net.Conn, error) {
	secure := tls.Client(conn, &tls.Config{ServerName: proxy.Hostname(), MinVersion: tls.VersionTLS12})
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("proxy %s: %w", name(proxy), err)
	}
	return secure, nil
}

// plain returns how an http.Transport is told of a proxy: it would have the server's pins
// vouch for a proxy that speaks TLS, which dialHTTP does in its place.
func plain(proxy *url.URL) *url.URL {
	if proxy == nil || proxy.Scheme != "https" {
		return proxy
	}
	return &url.URL{Scheme: "http", User: proxy.User, Host: proxyAddress(proxy)}
}

// dialHTTP connects to a server, or to a proxy: with TLS, if that is how it is spoken to.
func (o Options) dialHTTP(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{KeepAlive: keepAlive}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	proxy := o.secureProxyAt(address)
	if proxy == nil {
		return conn, nil
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	secure, err := secured(ctx, conn, proxy)
	if err != nil {
		_ = conn.Close() // nobody waits for it
		return nil, err
	}
	return secure, nil
}

// secureProxyAt returns the proxy at an address that speaks TLS, of those on the way to
// anything; nil if there is none.
func (o Options) secureProxyAt(address string) *url.URL {
	for _, scheme := range []string{"https", "http"} {
		proxy, err := o.proxyFor(&url.URL{Scheme: scheme, Host: "kedge.invalid"})
		if err == nil && proxy != nil && proxy.Scheme == "https" && proxyAddress(proxy) == address {
			return proxy
		}
	}
	return nil
}
