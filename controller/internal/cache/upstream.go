package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"kedge/internal/narinfo"
	"kedge/proto"
)

const (
	// askedAtOnce is of how many paths an upstream cache is asked at once, upstreamTimeout
	// how long it may take over one, and maxNarInfo how long its answer may be.
	askedAtOnce     = 32
	upstreamTimeout = 20 * time.Second
	maxNarInfo      = 1 << 20
)

// errNotThere says that an upstream cache does not have a path.
var errNotThere = errors.New("it does not have the path")

// seed has the cache tell of those paths of systems that it lacks and that an upstream
// cache has: with its signatures and, where we built the systems, ours, and where its
// archive is. So Nix does not copy them. That has the upstream's word for it only where a
// trusted key signed it, and where it is what the local store has.
func (c *Cache) seed(ctx context.Context, ours bool, systems []proto.StorePath) error {
	if len(c.upstream) == 0 {
		return nil
	}
	closure, err := c.nix.Closure(ctx, systems...)
	if err != nil {
		return fmt.Errorf("closures of %d systems: %w", len(systems), err)
	}
	var lacking proto.Closure
	for _, p := range closure {
		if _, err := os.Lstat(c.narInfoFile(p.Path)); errors.Is(err, fs.ErrNotExist) {
			lacking = append(lacking, p)
		}
	}
	for _, url := range c.upstream {
		if lacking, err = c.seedFrom(ctx, url, ours, lacking); err != nil {
			return err
		}
	}
	return nil
}

// seedFrom seeds what one upstream cache has, and returns the rest. One that cannot be
// asked has nothing.
func (c *Cache) seedFrom(ctx context.Context, url string, ours bool, paths proto.Closure) (rest proto.Closure, err error) {
	asking, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var mu sync.Mutex // guards rest and told
	var told error
	g := errgroup.Group{}
	g.SetLimit(askedAtOnce)
	for _, p := range paths {
		g.Go(func() error {
			err := c.seedOne(asking, url, ours, p)
			if err == nil {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			rest = append(rest, p)
			if f, ok := errors.AsType[*fs.PathError](err); ok { // our own disk
				return f
			}
			if told == nil && !errors.Is(err, errNotThere) {
				told = err
			}
			if _, ok := errors.AsType[*unreachableError](err); ok {
				stop(err) // it is not waited for again and again
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if told != nil {
		c.log.WarnContext(ctx, "paths are stored that an upstream cache may have", "upstream", url, "paths", len(rest), "err", told)
	}
	return rest, nil
}

// unreachableError says that an upstream cache did not answer.
type unreachableError struct{ error }

// seedOne seeds one path.
func (c *Cache) seedOne(ctx context.Context, url string, ours bool, p proto.ClosurePath) error {
	info, err := c.ask(ctx, url, p.Path)
	switch {
	case err != nil:
		return err
	case info.Path != p.Path || info.Hash != p.NarHash || info.Size != p.NarSize:
		return fmt.Errorf("%s: it has other content there than here", p.Path)
	case !info.SignedBy(c.trusted...):
		return fmt.Errorf("%s: no key that hosts trust (keys.cache) signed it there", p.Path)
	}
	if !info.Elsewhere() {
		info.File = strings.TrimSuffix(url, "/") + "/" + info.File
	}
	if ours {
		signature, err := info.Sign(c.secret)
		if err != nil {
			return err
		}
		info.Signatures = append(info.Signatures, signature)
	}
	// Named as what a crash of Nix leaves, and synced with all others later.
	temporary := c.narInfoFile(p.Path) + ".tmp"
	if err := os.WriteFile(temporary, info.Text(), filePerm); err != nil {
		return err
	}
	return os.Rename(temporary, c.narInfoFile(p.Path))
}

// ask asks an upstream cache what it says of a path.
func (c *Cache) ask(ctx context.Context, url string, p proto.StorePath) (narinfo.Info, error) {
	ctx, cancel := context.WithTimeout(ctx, upstreamTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+"/"+p.Hash()+narInfoSuffix, http.NoBody)
	if err != nil {
		return narinfo.Info{}, err
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return narinfo.Info{}, &unreachableError{err}
	}
	defer func() { _ = resp.Body.Close() }() // what was read counts
	switch {
	case resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusForbidden: // as S3 says it
		return narinfo.Info{}, errNotThere
	case resp.StatusCode != http.StatusOK:
		return narinfo.Info{}, &unreachableError{errors.New(resp.Status)}
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxNarInfo))
	if err != nil {
		return narinfo.Info{}, &unreachableError{err}
	}
	return narinfo.Parse(text)
}
