package controller

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"kedge/controller/internal/enroll"
	"kedge/controller/internal/publish"
	"kedge/proto"
)

// openParts returns what runs git and Nix, which is made once.
func (c *Controller) openParts() (*Parts, error) {
	if c.o.Parts == nil {
		p, err := NewParts(c.o.Config, c.log)
		if err != nil {
			return nil, err
		}
		c.o.Parts = &p
	}
	return c.o.Parts, nil
}

// standbyCache serves the cache of this controller while another one leads, which need
// not have what this one built. It is nil where there is none, and as long as this one has
// not the keys for that, which it must not make: the others have them. What is not for
// everybody it serves only while n is not old.
func (c *Controller) standbyCache(n *news) (http.Handler, error) {
	if !c.o.Config.Cache.Embedded {
		return nil, nil //nolint:nilnil // there is none
	}
	var needs []string
	if c.o.Parts == nil {
		needs = append(needs, cacheKeyFile)
	}
	if !c.o.Config.Cache.Public {
		needs = append(needs, passKeyFile)
	}
	for _, name := range needs {
		if _, err := os.Stat(c.path(keysDir + "/" + name)); errors.Is(err, fs.ErrNotExist) {
			return nil, nil //nolint:nilnil // there is none yet
		}
	}
	parts, err := c.openParts()
	if err != nil {
		return nil, err
	}
	if err := c.openPasses(); err != nil {
		return nil, err
	}
	if c.passes == nil {
		return parts.Cache.Handler(nil), nil
	}
	return n.guard(parts.Cache.Handler(c.standbyPorter()), c.o.Now), nil
}

// standbyPorter lets in whom the files of the shared state let in, as they are.
func (c *Controller) standbyPorter() *porter {
	files := publish.Files{Dir: c.path(desiredDir)}
	return &porter{
		passes: c.passes, now: c.o.Now,
		key: func(host proto.HostName) (enroll.Key, bool, error) { return enroll.Newest(c.path(hostsDir), host) },
		toplevels: func(host proto.HostName) []proto.StorePath {
			all, err := files.Toplevels(host)
			if err != nil {
				c.log.Warn("what a host may fetch is not known", "host", host, "err", err)
			}
			return all
		},
	}
}

// newsFor is how long a standby that hears nothing goes on serving whom it knows: for as
// long somebody who was revoked meanwhile still gets in.
const newsFor = 5 * time.Minute

// news says when a standby last had all that the shared state says. Safe for concurrent
// use. The zero value never did.
type news struct{ last atomic.Pointer[time.Time] }

func (n *news) hear(now time.Time) { n.last.Store(&now) }

// old reports whether what is known may be out of date.
func (n *news) old(now time.Time) bool {
	last := n.last.Load()
	return last == nil || now.Sub(*last) >= newsFor
}

// guard serves h while n is not old.
func (n *news) guard(h http.Handler, now func() time.Time) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.old(now()) {
			w.Header().Set("Cache-Control", "no-store")
			http.Error(w, fmt.Sprintf("this standby has heard nothing from NATS for %s, and does not know who was revoked meanwhile", newsFor), http.StatusServiceUnavailable)
			return
		}
		h.ServeHTTP(w, r)
	})
}
