package closure

import (
	"context"
	"fmt"
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

// List implements [Lister].
func (l HTTPLister) List(ctx context.Context, cache string, toplevel proto.StorePath) ([]byte, error) {
	text, err := get(ctx, l.Client, strings.TrimSuffix(cache, "/")+"/closures/"+url.PathEscape(toplevel.Base())+".txt", listLimit)
	if err != nil {
		return nil, fmt.Errorf("read closure list of %s: %w", toplevel, err)
	}
	return text, nil
}
