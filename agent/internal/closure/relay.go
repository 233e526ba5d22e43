package closure

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"
)

// relayHeaderTimeout is how long Nix may take over a request to the relay.
const relayHeaderTimeout = 10 * time.Second

// relayPatience is how long a cache may take to begin an answer: a busy one has
// requests wait for their turn, and Nix has a patience of its own.
const relayPatience = time.Minute

// A relay stands between Nix and one cache, on the loopback, for as long as one
// fetch takes. It goes the way that Nix does not know, and keeps the token from
// it. Its own URL holds a secret, as other users of this host reach it, too.
type relay struct {
	url    string // for Nix
	cache  *url.URL
	client *http.Client
	server *http.Server
	ended  chan struct{} // closed when the server has
	away   elsewhere

	mu      sync.Mutex // guards problem
	problem error      // the first that Nix would not tell of
}

// openRelay starts a relay to cache; it must be closed.
func openRelay(ctx context.Context, ways *Ways, cache *url.URL) (*relay, error) {
	client := ways.client(relayPatience)
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("make a way for Nix: %w", err)
	}
	secret := "/" + rand.Text()
	r := &relay{url: "http://" + l.Addr().String() + secret, cache: cache, client: client, ended: make(chan struct{}), away: elsewhere{told: map[string]*url.URL{}}}
	r.server = &http.Server{
		Handler:           http.StripPrefix(secret, r.handler()),
		ReadHeaderTimeout: relayHeaderTimeout,
	}
	go func() {
		defer close(r.ended)
		_ = r.server.Serve(l) // ends when it is closed
	}()
	return r, nil
}

// close cuts what is under way.
func (r *relay) close() {
	_ = r.server.Close() // there is nobody to tell
	<-r.ended
	r.client.CloseIdleConnections()
}

func (r *relay) handler() http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			if at := r.away.find(p.In.URL.Path); at != nil {
				p.Out.URL, p.Out.Host = at, ""
			} else {
				p.SetURL(r.cache)
			}
			p.Out.Header.Del("Authorization")
			p.Out.Header.Del("User-Agent")
		},
		Transport:     following{r.client},
		FlushInterval: -1, // who trickles is seen to trickle
		ModifyResponse: func(resp *http.Response) error {
			switch resp.StatusCode {
			case http.StatusUnauthorized, http.StatusForbidden:
				r.note(fmt.Errorf("it does not let this host in (%s)", resp.Status))
			}
			return r.away.translate(resp)
		},
		ErrorHandler: func(w http.ResponseWriter, req *http.Request, err error) {
			if req.Context().Err() == nil {
				r.note(err)
			}
			w.WriteHeader(http.StatusBadGateway)
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodGet && req.Method != http.MethodHead {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		proxy.ServeHTTP(w, req)
	})
}

// note keeps the first problem. What the client says about the URL is known.
func (r *relay) note(err error) {
	if of, ok := errors.AsType[*url.Error](err); ok {
		err = of.Err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.problem == nil {
		r.problem = err
	}
}

// explain returns err with what went wrong on the way, and with the cache's own
// name where Nix knew the relay's.
func (r *relay) explain(err error) error {
	if err == nil {
		return nil
	}
	translate(err, strings.NewReplacer(r.url, strings.TrimSuffix(r.cache.String(), "/")))
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.problem != nil {
		return fmt.Errorf("%w: %w", r.problem, err)
	}
	return err
}

// following is a transport that follows redirects.
type following struct{ client *http.Client }

// RoundTrip implements [http.RoundTripper].
func (f following) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.RequestURI = ""
	return f.client.Do(r)
}
