package cache

import (
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
)

// narName is where a NAR may be in the cache.
var narName = regexp.MustCompile(`^/nar/[0-9a-z]{1,64}\.nar(\.[0-9a-z]{1,8})?$`)

// served is what the cache serves, and how. Nothing else in its directory can
// be read.
var served = []struct {
	name         *regexp.Regexp
	contentType  string
	cacheControl string
}{
	{narName, "application/x-nix-nar", "public, max-age=31536000, immutable"},
	{regexp.MustCompile(`^/[0-9a-z]{32}\.narinfo$`), "text/x-nix-narinfo", "no-cache"},
	{regexp.MustCompile(`^/closures/[0-9a-z]{32}-[0-9A-Za-z+._?=-]{1,211}\.txt$`), "text/plain; charset=utf-8", "no-cache"},
	{regexp.MustCompile(`^/nix-cache-info$`), "text/x-nix-cache-info", "no-cache"},
}

// Handler serves the cache below /, to GET and HEAD, with ranges: to those whom
// porter lets in, and to everybody if it is nil. It serves a bounded number of
// requests at once, and of each client; the others wait for their turn, and are
// told to come again if that takes too long.
func (c *Cache) Handler(porter Porter) http.Handler {
	gate := newGate(c.maxRequests)
	var private *private
	if porter != nil {
		private = newPrivate(porter, c)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if private != nil && !private.admit(w, r) {
			return
		}
		leave, entered := gate.enter(r.Context(), address(r))
		if !entered {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "the cache is busy", http.StatusServiceUnavailable)
			return
		}
		defer leave()
		p := &paced{ResponseWriter: w}
		p.start()
		c.serve(p, r, private)
	})
}

// address returns where a request came from, without its port.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func (c *Cache) serve(w http.ResponseWriter, r *http.Request, private *private) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "the cache can only be read", http.StatusMethodNotAllowed)
		return
	}
	for _, s := range served {
		if !s.name.MatchString(r.URL.Path) {
			continue
		}
		w.Header().Set("Content-Type", s.contentType)
		w.Header().Set("Cache-Control", s.cacheControl)
		if private != nil {
			w.Header().Set("Cache-Control", strings.Replace(s.cacheControl, "public", "private", 1))
			private.learn(c, r.URL.Path)
		}
		c.serveFile(w, r)
		return
	}
	http.NotFound(w, r)
}

// serveFile serves the file that the request names, which is known to be a
// plain name below the cache's directory.
func (c *Cache) serveFile(w http.ResponseWriter, r *http.Request) {
	f, err := os.OpenInRoot(c.dir, r.URL.Path[1:])
	if errors.Is(err, fs.ErrNotExist) {
		w.Header().Set("Cache-Control", "no-cache")
		http.NotFound(w, r)
		return
	}
	if err != nil {
		c.log.WarnContext(r.Context(), "file of the cache cannot be read", "err", err)
		http.Error(w, "the cache cannot read this file", http.StatusInternalServerError)
		return
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil || !stat.Mode().IsRegular() {
		http.NotFound(w, r)
		return
	}
	c.reads.note(r.URL.Path[1:], c.now())
	http.ServeContent(w, r, "", stat.ModTime(), f)
}
