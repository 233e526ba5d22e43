package outbound

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	// connectTimeout is how long a proxy may take to answer, if nothing else
	// bounds it.
	connectTimeout = 10 * time.Second
	// maxAnswer bounds what a proxy says before the connection is through.
	maxAnswer = 64 << 10
)

// connect opens a connection to address through an HTTP proxy.
func connect(ctx context.Context, d *net.Dialer, proxy *url.URL, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := d.DialContext(ctx, "tcp", proxyAddress(proxy))
	if err != nil {
		return nil, fmt.Errorf("proxy %s: %w", name(proxy), err)
	}
	through, err := tunnel(ctx, conn, proxy, address)
	if err != nil {
		_ = conn.Close() // nobody waits for it
		return nil, err
	}
	return through, nil
}

// tunnel asks the proxy at the other end of conn to connect it to address.
func tunnel(ctx context.Context, conn net.Conn, proxy *url.URL, address string) (net.Conn, error) {
	raw := conn
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) }) // wakes who reads
	defer stop()
	if proxy.Scheme == "https" {
		secure, err := secured(ctx, conn, proxy)
		if err != nil {
			return nil, err
		}
		conn = secure
	}
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{}}
	if u := proxy.User; u != nil {
		password, _ := u.Password()
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)))
	}
	if err := req.Write(conn); err != nil {
		return nil, fmt.Errorf("proxy %s: %w", name(proxy), late(ctx, err))
	}
	bounded := &io.LimitedReader{R: conn, N: maxAnswer}
	r := bufio.NewReader(bounded)
	resp, err := http.ReadResponse(r, req)
	if err != nil {
		return nil, fmt.Errorf("proxy %s: its answer is none of an HTTP proxy: %w", name(proxy), late(ctx, err))
	}
	if err := refusal(proxy, address, resp); err != nil {
		return nil, err
	}
	if !stop() {
		return nil, fmt.Errorf("proxy %s: %w", name(proxy), context.Cause(ctx))
	}
	bounded.N = math.MaxInt64
	return &tunnelled{Conn: conn, r: r}, nil // who speaks first may have spoken already
}

// late returns why ctx ended, if that is what ended a read or a write.
func late(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("it did not answer in time")
	}
	return err
}

// A RefusalError says that a proxy was reached, and does not connect.
type RefusalError struct{ text string }

// Error implements error.
func (e *RefusalError) Error() string { return e.text }

// refusal returns what a proxy's answer to CONNECT says against it, or nil.
func refusal(proxy *url.URL, address string, resp *http.Response) error {
	var text string
	switch {
	case resp.StatusCode/100 == 2:
		return nil
	case resp.StatusCode == http.StatusProxyAuthRequired && proxy.User == nil:
		text = "wants a user and a password: put them into its URL"
	case resp.StatusCode == http.StatusProxyAuthRequired:
		text = "does not accept the user or the password in its URL"
	default:
		text = fmt.Sprintf("does not connect to %s: %d %s", address, resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	return &RefusalError{"proxy " + name(proxy) + " " + text}
}

// name is how a proxy is called, without its password.
func name(proxy *url.URL) string { return proxy.Scheme + "://" + proxy.Host }

// proxyAddress returns where a proxy listens.
func proxyAddress(proxy *url.URL) string {
	port := proxy.Port()
	switch {
	case port != "":
	case proxy.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	return net.JoinHostPort(proxy.Hostname(), port)
}

// A tunnelled connection is one through a proxy, read from where its answer ended.
type tunnelled struct {
	net.Conn
	r io.Reader
}

// Read implements net.Conn.
func (t *tunnelled) Read(b []byte) (int, error) { return t.r.Read(b) }
