package closure

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"kedge/internal/netrc"
	"kedge/proto"
	"kedge/proto/outbound"
)

// Ways are how this host gets to binary caches: through a proxy, and to those of
// its controller with the key that it pins and the token that it was given. Safe
// for concurrent use.
type Ways struct {
	Outbound outbound.Options
	Pace     *Pace // of all that is read from caches; nil for as fast as it comes
	// Netrc is the file with logins to private caches, as Nix has them; empty for none.
	Netrc string

	mu    sync.Mutex       // guards own and token
	own   []*url.URL       // the controller's caches
	token proto.CacheToken // for those
}

// Assigned notes the caches of the controller, as it signed them, and the token
// for them, which nobody else is ever shown. Zero is none.
func (w *Ways) Assigned(caches []string, token proto.CacheToken) {
	var own []*url.URL
	for _, c := range caches {
		if u, err := url.Parse(c); err == nil {
			own = append(own, u)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.own, w.token = own, token
}

// passFor returns the token for a request; zero unless it goes to one of the
// controller's caches.
func (w *Ways) passFor(u *url.URL) proto.CacheToken {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, cache := range w.own {
		if cache.Scheme == u.Scheme && cache.Host == u.Host && below(cache.Path, u.Path) {
			return w.token
		}
	}
	return proto.CacheToken{}
}

// loginFor returns what the netrc has for a request. A file that cannot be read has
// nothing.
func (w *Ways) loginFor(u *url.URL) netrc.Login {
	if w.Netrc == "" {
		return netrc.Login{}
	}
	text, err := os.ReadFile(w.Netrc)
	if err != nil {
		return netrc.Login{}
	}
	return netrc.Find(string(text), u.Hostname())
}

// below reports whether path is dir or in it.
func below(dir, path string) bool {
	dir = strings.TrimSuffix(dir, "/")
	return path == dir || strings.HasPrefix(path, dir+"/") && !strings.Contains(path, "/../")
}

// isOwn reports whether a cache is one of the controller's.
func (w *Ways) isOwn(u *url.URL) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, cache := range w.own {
		if cache.Scheme == u.Scheme && cache.Host == u.Host {
			return true
		}
	}
	return false
}

// straight reports whether Nix gets to a cache by itself, as the environment says.
func (w *Ways) straight(cache *url.URL) bool {
	o := w.Outbound
	if w.Pace != nil {
		return false
	}
	if o.Proxy != "" || o.ProxyFile != "" || !w.passFor(cache).IsZero() {
		return false
	}
	return !w.isOwn(cache) || cache.Scheme != "https" || !o.Trusts()
}

// Client returns a client for all caches, which shows the token where it belongs,
// follows redirects without it, and lets go of a connection soon.
func (w *Ways) Client() *http.Client { return w.client(answerTimeout) }

// client is Client, with a bound for the beginning of an answer.
func (w *Ways) client(patience time.Duration) *http.Client {
	return &http.Client{Transport: &passing{ways: w, patience: patience}}
}

// passing is a transport that goes the ways. Once its idle connections were closed
// it reads anew whom to trust.
type passing struct {
	ways     *Ways
	patience time.Duration

	mu         sync.Mutex // guards what follows
	own, world *http.Transport
}

// RoundTrip implements [http.RoundTripper].
func (p *passing) RoundTrip(r *http.Request) (*http.Response, error) {
	transport, err := p.transport(p.ways.isOwn(r.URL))
	if err != nil {
		return nil, err
	}
	if token := p.ways.passFor(r.URL); !token.IsZero() {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+token.Reveal())
	} else if known := p.ways.loginFor(r.URL); known != (netrc.Login{}) {
		r = r.Clone(r.Context())
		r.SetBasicAuth(known.User, known.Password)
	}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = p.ways.Pace.of(r.Context(), resp.Body)
	return resp, nil
}

// transport returns that to the controller's caches, or to those of the world,
// which have the world's authorities.
func (p *passing) transport(own bool) (*http.Transport, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o, t := p.ways.Outbound, &p.own
	if !own {
		o.CAFile, o.Pins, t = "", nil, &p.world
	}
	if *t != nil {
		return *t, nil
	}
	made, err := o.Transport()
	if err != nil {
		return nil, err
	}
	dial := made.DialContext // speaks TLS with a proxy that does
	made.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, connectTimeout)
		defer cancel()
		return dial(ctx, network, address)
	}
	made.TLSHandshakeTimeout = connectTimeout
	made.ResponseHeaderTimeout = p.patience
	made.IdleConnTimeout = idleTimeout
	made.MaxIdleConnsPerHost = atOnce
	made.DisableCompression = true // archives are compressed already
	*t = made
	return made, nil
}

// CloseIdleConnections is what [http.Client] looks for.
func (p *passing) CloseIdleConnections() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range []*http.Transport{p.own, p.world} {
		if t != nil {
			t.CloseIdleConnections()
		}
	}
	p.own, p.world = nil, nil
}
