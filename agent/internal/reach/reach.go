// Package reach finds out whether a host reaches anybody at all.
//
// What counts is that somebody answers, not what: one who refuses was reached, and
// so was a proxy that does. A
// name that is not found, a network that is not there and a silence are no answer.
package reach

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/url"
	"syscall"
	"time"

	"kedge/proto/outbound"
)

// defaultTimeout bounds one try: more than the first repetitions of a lost packet
// take.
const defaultTimeout = 5 * time.Second

// A Prober asks endpoints for an answer.
type Prober struct {
	URLs    []string      // of NATS servers and binary caches
	Timeout time.Duration // of a try, of all at the same time; zero means 5 s
	// Dial overrides how a connection is made; nil does not.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Answers reports whether one of the endpoints answers.
func (p Prober) Answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(p.Timeout, defaultTimeout))
	defer cancel()
	answers := make(chan bool, len(p.URLs))
	for _, u := range p.URLs {
		go func() { answers <- p.answers(ctx, u) }()
	}
	answered := false
	for range p.URLs { // all of them: nothing of it goes on
		if <-answers {
			answered = true
			cancel()
		}
	}
	return answered
}

func (p Prober) answers(ctx context.Context, endpoint string) bool {
	address, ok := addressOf(endpoint)
	if !ok {
		return false
	}
	dial := p.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	conn, err := dial(ctx, "tcp", address)
	if err == nil {
		_ = conn.Close() // nothing was sent
		return true
	}
	_, proxy := errors.AsType[*outbound.RefusalError](err)
	return proxy || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET)
}

// ports are those of URLs that name none.
func ports() map[string]string {
	return map[string]string{"nats": "4222", "tls": "4222", "ws": "80", "wss": "443", "http": "80", "https": "443"}
}

// addressOf returns where the endpoint of a URL listens.
func addressOf(endpoint string) (address string, ok bool) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Hostname() == "" {
		return "", false
	}
	port := cmp.Or(u.Port(), ports()[u.Scheme])
	return net.JoinHostPort(u.Hostname(), port), port != ""
}
