package controller

import (
	"errors"
	"io/fs"
	"net/http"
	"os"

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
// not the keys for that, which it must not make: the others have them.
func (c *Controller) standbyCache() (http.Handler, error) {
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
	return parts.Cache.Handler(c.standbyPorter()), nil
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
