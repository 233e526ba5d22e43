package controller

import (
	"fmt"
	"time"

	"kedge/controller/internal/cache"
	"kedge/controller/internal/enroll"
	"kedge/controller/internal/pass"
	"kedge/proto"
)

// passKeyFile is below keysDir.
const passKeyFile = "cache-tokens"

// openPasses opens what makes and checks the tokens for the embedded cache, unless
// everybody may read it. Others are shown none.
func (c *Controller) openPasses() (err error) {
	if c.o.Config.Cache.Public || !c.o.Config.Cache.Embedded {
		return nil
	}
	c.passes, err = pass.Open(c.path(keysDir + "/" + passKeyFile))
	return err
}

// cacheTokens returns what makes the tokens in assignments; nil for none.
func (c *Controller) cacheTokens() func(proto.HostName, time.Time) proto.CacheToken {
	if c.passes == nil {
		return nil
	}
	return c.passes.Issue
}

// porter returns who lets hosts into the cache; nil for everybody.
func (c *Controller) porter(book *enroll.Book) cache.Porter {
	if c.passes == nil {
		return nil
	}
	return &porter{passes: c.passes, key: keysIn(book), toplevels: c.publisher.Toplevels, now: c.o.Now}
}

// since returns what tells from which second on a host has the key that counts: what
// was given to it before may be in other hands.
func since(book *enroll.Book) func(proto.HostName) time.Time {
	return func(host proto.HostName) time.Time {
		key, _ := book.Newest(host)
		return key.Added.Truncate(time.Second)
	}
}

// keysIn returns what tells which key a host was given last.
func keysIn(book *enroll.Book) func(proto.HostName) (enroll.Key, bool, error) {
	return func(host proto.HostName) (enroll.Key, bool, error) {
		k, known := book.Newest(host)
		return k, known, nil
	}
}

// A porter lets a host that is not revoked read what it is to run.
type porter struct {
	passes    *pass.Office
	key       func(proto.HostName) (k enroll.Key, known bool, err error) // that a host was given last
	toplevels func(proto.HostName) []proto.StorePath
	now       func() time.Time
}

// Admit implements [cache.Porter].
func (p *porter) Admit(token string) ([]proto.StorePath, error) {
	host, issued, err := p.passes.Check(token, p.now())
	if err != nil {
		return nil, err
	}
	key, known, err := p.key(host)
	if err != nil {
		return nil, err
	}
	if issued.Before(key.Added.Truncate(time.Second)) {
		return nil, fmt.Errorf("%w: it is of the machine that host %s was before", pass.ErrInvalid, host)
	}
	if known && key.IsRevoked() {
		return nil, fmt.Errorf("host %s: %w", host, enroll.ErrRevoked)
	}
	return p.toplevels(host), nil
}
