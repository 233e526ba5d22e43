package closure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"kedge/proto"
)

// A Lister reads closure lists from a binary cache.
type Lister interface {
	// List returns the closure list of toplevel as cache has it, unverified.
	List(ctx context.Context, cache string, toplevel proto.StorePath) ([]byte, error)
}

const (
	// listLimit bounds a closure list in bytes; a system of 10,000 paths has two
	// million.
	listLimit = 16 << 20
	// listTimeout bounds the reading of one, from whichever cache has it.
	listTimeout = 30 * time.Second
)

// An HTTPLister reads closure lists as Kedge's own cache serves them, below
// closures/.
type HTTPLister struct {
	Client *http.Client // required
}

var _ Lister = HTTPLister{}

// NewHTTPLister returns a lister with a client that keeps no connection: there
// is one list in a deployment.
func NewHTTPLister() HTTPLister {
	return HTTPLister{Client: &http.Client{
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
	}}
}

// List implements [Lister].
func (l HTTPLister) List(ctx context.Context, cache string, toplevel proto.StorePath) ([]byte, error) {
	text, err := l.get(ctx, strings.TrimSuffix(cache, "/")+"/closures/"+url.PathEscape(toplevel.Base())+".txt")
	if err != nil {
		return nil, fmt.Errorf("read closure list of %s: %w", toplevel, err)
	}
	return text, nil
}

func (l HTTPLister) get(ctx context.Context, from string) (text []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := l.Client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // what was read counts
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", from, resp.Status)
	}
	text, err = io.ReadAll(io.LimitReader(resp.Body, listLimit+1))
	if err == nil && len(text) > listLimit {
		err = errors.New("it is longer than any closure list")
	}
	return text, err
}
