package cache

import (
	"context"
	"crypto/rand"
	"errors"
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
	"kedge/internal/keyfile"
	"kedge/internal/nix"
	"kedge/proto"
)

// A Nix copies and looks into the local store; a [*nix.CLI] is one.
type Nix interface {
	Copy(ctx context.Context, o nix.CopyOptions) error
	Closure(ctx context.Context, paths ...proto.StorePath) (proto.Closure, error)
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
	Dir     string    // of the cache; required
	KeyFile string    // of the key that signs what we built; required
	KeyName string    // of a new key; required
	Rand    io.Reader // makes a new key; defaults to crypto/rand
	From    []string  // URLs of the caches that [Cache.Bring] fetches from
	// Upstream are URLs of caches that hosts reach, too. What they have, signed by one of
	// Trusted, is not stored again: its description names their archive.
	Upstream []string
	Trusted  []proto.PublicKey
	// Push are URLs of further caches that closures are copied to; see [ValidateTarget].
	Push        []string
	Client      *http.Client     // asks them; defaults to one that goes as the environment says
	MaxRequests int              // served at the same time; defaults to 1024
	Timeout     time.Duration    // of one call that runs Nix, with the wait for others; defaults to 2 h
	Log         *slog.Logger     // required
	Now         func() time.Time // defaults to time.Now
}

// A Cache is a binary cache. It is safe for concurrent use.
type Cache struct {
	nix         Nix
	dir         string
	keyFile     string
	key         proto.PublicKey
	from        []string
	secret      proto.SecretKey
	upstream    []string
	trusted     []proto.PublicKey
	targets     []string
	client      *http.Client
	maxRequests int
	timeout     time.Duration
	log         *slog.Logger
	now         func() time.Time
	remove      func(file string) error
	reads       reads

	writing chan struct{} // full while the directory is written; capacity 1

	mu    sync.Mutex      // guards what follows
	known walked          // paths that are there, whole and on the disk
	sent  map[string]bool // what was copied to which other cache

	counting sync.Mutex // guards what follows
	usage    Usage
	counted  time.Time
}

// plainPath is what a path must be made of to stand in the URL of a store, where
// versions of Nix differ in how they decode it.
var plainPath = regexp.MustCompile(`^/[A-Za-z0-9/._-]+$`)

// Open opens a cache, and makes its directory and key on first use.
func Open(o Options) (*Cache, error) {
	if o.Nix == nil || o.Log == nil || o.KeyName == "" {
		return nil, errors.New("open cache: Nix, KeyName and Log are required")
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.MaxRequests == 0 {
		o.MaxRequests = defaultMaxRequests
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Client == nil {
		o.Client = &http.Client{Transport: http.DefaultTransport}
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open cache: %w", err)
	}
	keyFile, err := filepath.Abs(o.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("open cache: %w", err)
	}
	for _, path := range []string{dir, keyFile} {
		if !plainPath.MatchString(path) {
			return nil, fmt.Errorf("open cache: %q: its path may have letters, digits, '.', '_' and '-' only", path)
		}
	}
	key, err := keyfile.Open(keyFile, o.KeyName, o.Rand)
	if err != nil {
		return nil, fmt.Errorf("open cache %s: %w", dir, err)
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
		nix: o.Nix, dir: dir, keyFile: keyFile, key: key.Public(), from: o.From, secret: key,
		upstream: o.Upstream, trusted: o.Trusted, targets: o.Push, client: o.Client,
		maxRequests: o.MaxRequests, timeout: o.Timeout, log: o.Log,
		now: o.Now, remove: os.Remove, reads: newReads(),
		writing: make(chan struct{}, 1), known: make(walked), sent: map[string]bool{},
	}, nil
}

// PublicKey returns the key that hosts must trust to fetch what we built.
func (c *Cache) PublicKey() proto.PublicKey { return c.key }

// URL returns the store that Nix copies to in order to put into the cache what
// we built. Such a copy is no substitute for [Cache.Push]: it only leaves less to
// do for it.
func (c *Cache) URL() string { return c.url(true) }

// bounded returns ctx with the end that every call has.
func (c *Cache) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.timeout, fmt.Errorf("no end within %s", c.timeout))
}

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
