package cache

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"kedge/internal/durable"
	"kedge/internal/nix"
	"kedge/proto"
)

// A Nix copies and looks into the local store; a [*nix.CLI] is one.
type Nix interface {
	Copy(ctx context.Context, o nix.CopyOptions) error
	Sign(ctx context.Context, keyFile string, paths ...proto.StorePath) error
	Closure(ctx context.Context, paths ...proto.StorePath) (proto.Closure, error)
	Closures(ctx context.Context, paths ...proto.StorePath) (map[proto.StorePath]proto.Closure, error)
	Untrusted(ctx context.Context, o nix.UntrustedOptions) ([]proto.StorePath, error)
	Invalid(ctx context.Context, paths ...proto.StorePath) ([]proto.StorePath, error)
	Substitute(ctx context.Context, o nix.SubstituteOptions) (proto.Closure, error)
}

const (
	dirPerm            fs.FileMode = 0o755 // a web server may serve it
	filePerm           fs.FileMode = 0o644
	defaultMaxRequests             = 1024
	defaultTimeout                 = 2 * time.Hour // of a first copy of a whole fleet
)

// Where closure lists are.
const (
	closuresDir = "closures"
	listSuffix  = ".txt"
)

// cacheInfo makes Nix ask for many paths at once, and before it asks
// cache.nixos.org, whose priority is 40.
const cacheInfo = "StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\n"

// Options says where the cache is.
type Options struct {
	Nix     Nix       // required
	Dir     string    // of the cache; required by [Open]
	KeyFile string    // of the key that signs what we built; required
	KeyName string    // of a new key; required
	Rand    io.Reader // makes a new key; defaults to crypto/rand
	From    []string  // URLs of the caches that [Outside.Bring] fetches from
	// Upstream are URLs of caches that hosts reach, too. What they have, signed by one of
	// Trusted, is not stored again: its description names their archive.
	Upstream []string
	Trusted  []proto.PublicKey
	// Push are further caches that closures are copied to.
	Push        []Target
	Client      *http.Client     // asks them; defaults to one that goes as the environment says
	MaxRequests int              // served at the same time; defaults to 1024
	Timeout     time.Duration    // of one call that runs Nix, with the wait for others; defaults to 2 h
	Log         *slog.Logger     // required
	Now         func() time.Time // defaults to time.Now
}

// A Cache is a binary cache, and those of others that closures are copied to as well. It
// is safe for concurrent use.
type Cache struct {
	*Outside

	dir         string
	secret      proto.SecretKey
	upstream    []string
	trusted     []proto.PublicKey
	maxRequests int
	remove      func(file string) error
	reads       reads

	writing chan struct{} // full while the directory is written; capacity 1

	mu    sync.Mutex // guards known
	known walked     // paths that are there, whole and on the disk

	counting sync.Mutex // guards what follows
	usage    Usage
	counted  time.Time
}

// plainPath is what a path must be made of to stand in the URL of a store, where
// versions of Nix differ in how they decode it.
var plainPath = regexp.MustCompile(`^/[A-Za-z0-9/._-]+$`)

// Open opens a cache, and makes its directory and key on first use.
func Open(o Options) (*Cache, error) {
	if o.MaxRequests == 0 {
		o.MaxRequests = defaultMaxRequests
	}
	dir, err := plain(o.Dir)
	if err != nil {
		return nil, err
	}
	outside, key, err := openOutside(o)
	if err != nil {
		return nil, err
	}
	for _, sub := range []string{"nar", closuresDir} {
		if err := durable.MkdirAll(filepath.Join(dir, sub), dirPerm); err != nil {
			return nil, fmt.Errorf("open cache %s: %w", dir, err)
		}
	}
	if err := replace(filepath.Join(dir, "nix-cache-info"), []byte(cacheInfo)); err != nil {
		return nil, fmt.Errorf("open cache %s: %w", dir, err)
	}
	return &Cache{
		Outside: outside, dir: dir, secret: key, upstream: o.Upstream, trusted: o.Trusted,
		maxRequests: o.MaxRequests, remove: os.Remove, reads: newReads(),
		writing: make(chan struct{}, 1), known: make(walked),
	}, nil
}

// plain returns the absolute path of a file, if it can be part of a store's URL.
func plain(file string) (string, error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return "", fmt.Errorf("open cache: %w", err)
	}
	if !plainPath.MatchString(path) {
		return "", fmt.Errorf("open cache: %q: its path may have letters, digits, '.', '_' and '-' only", path)
	}
	return path, nil
}

// URL returns the store that Nix copies to in order to put into the cache what
// we built. Such a copy is no substitute for [Cache.Push]: it only leaves less to
// do for it.
func (c *Cache) URL() string { return c.url(true) }

// url returns the cache as Nix writes to it, signing if asked to.
func (c *Cache) url(signing bool) string {
	query := url.Values{"compression": {"zstd"}}
	if signing {
		query.Set("secret-key", c.keyFile)
	}
	return "file://" + c.dir + "?" + query.Encode()
}

// listFile returns the file of a system's closure list.
func (c *Cache) listFile(system proto.StorePath) string {
	return filepath.Join(c.dir, closuresDir, system.Base()+listSuffix)
}

// replace writes a file durably, unless it has that content.
func replace(path string, content []byte) error {
	if old, err := os.ReadFile(path); err == nil && string(old) == string(content) {
		return nil
	}
	return durable.WriteFile(path, content, filePerm)
}
