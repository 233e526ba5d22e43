package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"kedge/internal/durable"
	"kedge/internal/nix"
	"kedge/proto"
)

// ValidateTarget reports what is wrong with the URL of a cache that closures are copied
// to as well. It must be one that Nix signs for: a binary cache.
func ValidateTarget(target string) error {
	u, err := url.Parse(target)
	switch {
	case err != nil:
		return fmt.Errorf("cache %q: %w", target, err)
	case !slices.Contains([]string{"file", "http", "https", "s3"}, u.Scheme):
		return fmt.Errorf("cache %q: must be a file, http, https or s3 URL: to other stores Nix copies without our signature", target)
	case u.User != nil:
		return fmt.Errorf("cache at %s: must hold no user and no password: they are for netrc, or for AWS' files", u.Host)
	case u.Query().Has("secret-key") || u.Query().Has("secret-keys"):
		return fmt.Errorf("cache %q: must name no key: the controller's cache key signs", target)
	case u.Scheme == "file" && (u.Host != "" || !plainPath.MatchString(u.Path)), u.Scheme != "file" && u.Host == "":
		return fmt.Errorf("cache %q: must name a host, or a file an absolute path", target)
	}
	return nil
}

// send copies the closures of systems to all further caches, signed by our key where we
// built them, and writes their closure lists where that takes no more than a file. What
// one cache does not take is an error, after all were tried: a host that is told of that
// cache must find it there.
func (c *Cache) send(ctx context.Context, ours bool, closures Closures) error {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	var errs []error
	for _, target := range c.targets {
		if err := c.sendTo(ctx, target, ours, closures); err != nil {
			errs = append(errs, fmt.Errorf("copy to %s: %w", bare(target), err))
		}
	}
	return errors.Join(errs...)
}

func (c *Cache) sendTo(ctx context.Context, target string, ours bool, closures Closures) error {
	var systems []proto.StorePath
	for s := range closures {
		if !c.wasSent(target, s) {
			systems = append(systems, s)
		}
	}
	if len(systems) == 0 {
		return nil
	}
	slices.SortFunc(systems, proto.StorePath.Compare)
	u, err := url.Parse(target)
	if err != nil {
		return err
	}
	query := u.Query()
	if ours {
		query.Set("secret-key", c.keyFile)
	}
	if !query.Has("compression") {
		query.Set("compression", "zstd")
	}
	u.RawQuery = query.Encode()
	if err := c.nix.Copy(ctx, nix.CopyOptions{To: u.String(), Paths: systems}); err != nil {
		return err
	}
	for _, s := range systems {
		if err := c.sendList(ctx, *u, s, closures[s].Text()); err != nil {
			// It only spares hosts a download for which they have no room.
			c.log.WarnContext(ctx, "closure list is not in the other cache", "cache", bare(target), "toplevel", s, "err", err)
		}
		c.noteSent(target, s)
	}
	return nil
}

// sendList writes a closure list. Nix cannot, and S3 takes nothing from others.
func (c *Cache) sendList(ctx context.Context, u url.URL, system proto.StorePath, list []byte) error {
	u.RawQuery = ""
	at := u.JoinPath(closuresDir, system.Base()+listSuffix)
	switch u.Scheme {
	case "file":
		if err := durable.MkdirAll(filepath.Dir(at.Path), dirPerm); err != nil {
			return err
		}
		return replace(at.Path, list)
	case "http", "https":
		return c.put(ctx, at.String(), list)
	}
	return nil
}

func (c *Cache) put(ctx context.Context, at string, content []byte) error {
	ctx, cancel := context.WithTimeout(ctx, upstreamTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, at, bytes.NewReader(content))
	if err != nil {
		return err
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxNarInfo))
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		err = errors.New(resp.Status)
	}
	return errors.Join(err, resp.Body.Close())
}

func (c *Cache) wasSent(target string, s proto.StorePath) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent[target+" "+s.Base()]
}

// noteSent remembers, until a restart, what need not be asked for again.
func (c *Cache) noteSent(target string, s proto.StorePath) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent[target+" "+s.Base()] = true
}

// bare returns a URL without its parameters.
func bare(target string) string {
	name, _, _ := strings.Cut(target, "?")
	return name
}
