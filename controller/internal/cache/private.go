package cache

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"kedge/proto"
)

// A Porter knows whom tokens were given to.
type Porter interface {
	// Admit returns the systems whose closures who shows token may read. It fails
	// if the token is none that counts. It is quick.
	Admit(token string) ([]proto.StorePath, error)
}

// private is a cache that is not for everybody.
type private struct {
	porter Porter
	reach  *reach
}

func newPrivate(porter Porter, c *Cache) *private {
	return &private{porter: porter, reach: newReach(c.dir, c.now)}
}

// admit reports whether a request may be served; if not then it was answered. What
// somebody may not read does not exist for him.
func (p *private) admit(w http.ResponseWriter, r *http.Request) bool {
	systems, err := p.porter.Admit(tokenOf(r))
	if err != nil {
		w.Header().Add("WWW-Authenticate", `Bearer realm="kedge cache"`)
		w.Header().Add("WWW-Authenticate", `Basic realm="kedge cache"`)
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, "the cache wants the token of an assignment", http.StatusUnauthorized)
		return false
	}
	if !p.mayRead(r.URL.Path, systems) {
		w.Header().Set("Cache-Control", "no-store")
		http.NotFound(w, r)
		return false
	}
	return true
}

// tokenOf returns the token that a request shows: as the bearer, or, as Nix can, as
// the password of whatever user.
func tokenOf(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	const bearer = "bearer "
	text := r.Header.Get("Authorization")
	if len(text) > len(bearer) && strings.EqualFold(text[:len(bearer)], bearer) {
		return strings.TrimSpace(text[len(bearer):])
	}
	return ""
}

// mayRead reports whether a file of the cache is of the closures of systems.
func (p *private) mayRead(path string, systems []proto.StorePath) bool {
	name := strings.TrimPrefix(path, "/")
	if hash, ok := strings.CutSuffix(name, narInfoSuffix); ok {
		return p.reach.path(hash, systems)
	}
	if base, ok := strings.CutPrefix(name, "closures/"); ok {
		for _, s := range systems {
			if base == s.Base()+".txt" {
				return true
			}
		}
		return false
	}
	return name == "nix-cache-info" || strings.HasPrefix(name, "nar/") && p.reach.archive(name, systems)
}

const narInfoSuffix = ".narinfo"

// learn notes which archive is asked for next by who is told of a path now.
func (p *private) learn(c *Cache, path string) {
	hash, ok := strings.CutSuffix(strings.TrimPrefix(path, "/"), narInfoSuffix)
	if !ok {
		return
	}
	if text, err := os.ReadFile(filepath.Join(c.dir, hash+narInfoSuffix)); err == nil {
		p.reach.describes(hash, text)
	}
}
