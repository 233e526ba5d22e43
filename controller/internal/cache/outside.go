package cache

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"kedge/internal/durable"
	"kedge/internal/keyfile"
	"kedge/proto"
)

// An Outside is caches of others that closures are copied to, and no cache of ours. What
// is in them is the local store's word for it, and nothing is ever removed there. It is
// safe for concurrent use.
type Outside struct {
	nix     Nix
	keyFile string
	key     proto.PublicKey
	from    []string
	targets []Target
	client  *http.Client
	timeout time.Duration
	log     *slog.Logger
	now     func() time.Time
	syncFS  func(dir string) error // of the file system of dir

	noting sync.Mutex             // guards sent
	sent   map[transfer]time.Time // what was copied, and when
}

// OpenOutside makes the key on first use. Of o it needs and uses what [Open] does, but for
// what is about the directory, which it does not make.
func OpenOutside(o Options) (*Outside, error) {
	if len(o.Push) == 0 {
		return nil, errors.New("open caches: Push is required")
	}
	outside, _, err := openOutside(o)
	return outside, err
}

func openOutside(o Options) (*Outside, proto.SecretKey, error) {
	if o.Nix == nil || o.Log == nil || o.KeyName == "" {
		return nil, proto.SecretKey{}, errors.New("open cache: Nix, KeyName and Log are required")
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
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
	keyFile, err := plain(o.KeyFile)
	if err != nil {
		return nil, proto.SecretKey{}, err
	}
	key, err := keyfile.Open(keyFile, o.KeyName, o.Rand)
	if err != nil {
		return nil, key, fmt.Errorf("open key of the cache: %w", err)
	}
	return &Outside{
		nix: o.Nix, keyFile: keyFile, key: key.Public(), from: o.From, targets: o.Push, client: o.Client,
		timeout: o.Timeout, log: o.Log, now: o.Now, syncFS: durable.SyncFileSystem, sent: map[transfer]time.Time{},
	}, key, nil
}

// PublicKey returns the key that hosts must trust to fetch what we built.
func (o *Outside) PublicKey() proto.PublicKey { return o.key }

// Push makes the closures of toplevels fetchable, signed by our key: the caller vouches
// that they are what we built.
func (o *Outside) Push(ctx context.Context, toplevels ...proto.StorePath) (Closures, error) {
	return o.push(ctx, true, toplevels)
}

// Relay makes the closures of toplevels fetchable with the signatures that they have; see
// [Outside.Signed].
func (o *Outside) Relay(ctx context.Context, toplevels ...proto.StorePath) (Closures, error) {
	return o.push(ctx, false, toplevels)
}

func (o *Outside) push(ctx context.Context, ours bool, toplevels []proto.StorePath) (Closures, error) {
	closures, err := o.Closures(ctx, toplevels...)
	if err != nil {
		return nil, err
	}
	if err := o.send(ctx, ours, closures); err != nil {
		return nil, err
	}
	return closures, nil
}

// Closures returns the closures of toplevels, which are in the local store; the error
// wraps [ErrGone] if one is not. It changes nothing.
func (o *Outside) Closures(ctx context.Context, toplevels ...proto.StorePath) (Closures, error) {
	ctx, cancel := o.bounded(ctx)
	defer cancel()
	closures, err := o.nix.Closures(ctx, toplevels...)
	if err != nil {
		return nil, fmt.Errorf("closures: %w", o.gone(ctx, toplevels, err))
	}
	return closures, nil
}

// Provide is [Outside.Push]: nothing of the caches of others is known here but what was
// copied to them lately. Its error wraps [ErrGone] as that of [Outside.Closures] does.
func (o *Outside) Provide(ctx context.Context, toplevels ...proto.StorePath) (Closures, error) {
	return o.Push(ctx, toplevels...)
}

// gone returns why the local store does not tell the closures of toplevels: [ErrGone], of
// the first, if it says that it has not all of them, and otherwise err.
func (o *Outside) gone(ctx context.Context, toplevels []proto.StorePath, err error) error {
	invalid, asked := o.nix.Invalid(ctx, toplevels...)
	if asked != nil || len(invalid) == 0 {
		return err
	}
	return fmt.Errorf("%s: %w", invalid[0], ErrGone)
}

// Handler serves nothing: hosts fetch from the caches of others.
func (o *Outside) Handler(Porter) http.Handler { return http.NotFoundHandler() }

// bounded returns ctx with the end that every call has.
func (o *Outside) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, o.timeout, &SlowError{o.timeout})
}

// A SlowError says that there was no end within a time. What was copied by then stays, and
// whoever tries again goes on from there.
type SlowError struct{ After time.Duration }

func (e *SlowError) Error() string { return fmt.Sprintf("no end within %s", e.After) }
