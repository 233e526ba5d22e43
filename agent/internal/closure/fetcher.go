package closure

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"kedge/proto"
)

// A Store is the host's Nix store; *nix.CLI is one.
type Store interface {
	// Invalid returns those of paths that are not there, or not whole.
	Invalid(ctx context.Context, paths ...proto.StorePath) ([]proto.StorePath, error)
	// Closure returns paths, which are valid, and everything they refer to.
	Closure(ctx context.Context, paths ...proto.StorePath) (proto.Closure, error)
}

// A Transport brings closures from a binary cache.
type Transport interface {
	// Bring makes o's toplevel and all that it refers to valid in the host's store,
	// from one cache, every path that arrives signed by one of o's keys, and returns
	// them as the store has them then. It goes on from where an earlier call
	// stopped. An error that is not ctx's is a [*Rejection].
	Bring(ctx context.Context, cache string, o FetchOrder) (proto.Closure, error)
}

// A FetchOrder says what to fetch.
type FetchOrder struct {
	Toplevel proto.StorePath
	// Closure is the digest of its closure list, as signed.
	Closure proto.Digest
	// Caches are tried in this order; each is a URL.
	Caches []string
	// TrustedKeys are those of which one must have signed each path.
	TrustedKeys []proto.PublicKey
	// Missing is what the host is known to lack of the closure, by its signed list;
	// [Fetcher.Fetch] finds it out. A transport need not ask for it path by path.
	Missing proto.Closure
}

// A Fetcher makes closures present. Its methods may be called again and again, each
// one at a time: there is one root for what it is called with.
type Fetcher struct {
	Transport Transport // required
	Store     Store     // required
	Roots     Roots     // required
	// Room looks, before anything is downloaded, whether it will fit, and says what is
	// missing, as far as that is known; nil does not.
	Room func(ctx context.Context, o FetchOrder) (missing proto.Closure, err error)
	// Brought is told the size of what arrived of what was missing; nil is not.
	Brought func(bytes uint64)
	// Timeout is how long one cache may take, before the next one is asked for what is
	// still missing, on top of what Pace alone makes of that; required.
	Timeout time.Duration
	Pace    *Pace        // which Transport keeps; nil for as fast as it comes
	Log     *slog.Logger // required
	// Root is the directory that the store's paths are looked for in; empty is /.
	Root string
}

// Fetch makes o's closure present, kept by the staged root, and checks that it
// is the one that was signed. If it is present already only that is checked. What has
// arrived when it fails is kept, as far as it was known to be missing, until Fetch
// succeeds, finds no room, is called for another one, or [Fetcher.GiveUp] is.
// An error that is not ctx's is a [*Rejection].
func (f Fetcher) Fetch(ctx context.Context, o FetchOrder) error {
	if err := f.fetch(ctx, o); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("fetch %s: %w", o.Toplevel, context.Cause(ctx))
		}
		return &Rejection{Reason: reasonFor(err), Err: fmt.Errorf("fetch %s: %w", o.Toplevel, err)}
	}
	return nil
}

func (f Fetcher) fetch(ctx context.Context, o FetchOrder) error {
	// First the root: the system is kept from the moment at which it is whole. Until
	// then Nix keeps what arrives for as long as it is at work.
	if err := f.Roots.Stage(o.Toplevel); err != nil {
		return rejectIO(err)
	}
	present, err := f.present(ctx, o.Toplevel)
	if err != nil {
		return rejectIO(err)
	}
	var c proto.Closure
	if present {
		if c, err = f.Store.Closure(ctx, o.Toplevel); err != nil {
			return rejectIO(err)
		}
	} else if c, err = f.bring(ctx, o); err != nil {
		return err
	}
	f.letGo(ctx)
	if got := c.Digest(); got != o.Closure {
		return &Rejection{Reason: proto.ReasonDigestMismatch, Err: fmt.Errorf(
			"the closure (%d paths) has digest %s, but %s was signed: a cache, or this host's store, has other bytes under the same names", len(c), got, o.Closure)}
	}
	return nil
}

// ErrGone is wrapped by the error of [Fetcher.Keep] for a toplevel that is known not to
// be present: no other try finds it.
var ErrGone = errors.New("is not in this host's store any more")

// Keep keeps toplevel, to which a way back leads, by a root for that, and fails with
// a [*Rejection] unless it is present with all that it refers to. What is staged stays
// so, whatever comes of the way back.
func (f Fetcher) Keep(ctx context.Context, toplevel proto.StorePath) error {
	if err := f.Roots.Back(toplevel); err != nil {
		return rejectIO(err)
	}
	present, err := f.present(ctx, toplevel)
	if err != nil {
		return rejectIO(err)
	}
	if !present {
		return &Rejection{Reason: proto.ReasonFetchFailed, Err: fmt.Errorf("%s %w", toplevel, ErrGone)}
	}
	return nil
}

// present reports whether toplevel is valid. What does not exist is not, and
// that is the rule: then Nix is not even asked.
func (f Fetcher) present(ctx context.Context, toplevel proto.StorePath) (bool, error) {
	if _, err := os.Lstat(filepath.Join(f.Root, toplevel.String())); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	invalid, err := f.Store.Invalid(ctx, toplevel)
	return len(invalid) == 0, err
}

// bring tries one cache after the other. If none has it, the reason is the
// worst that any of them gave.
func (f Fetcher) bring(ctx context.Context, o FetchOrder) (proto.Closure, error) {
	if len(o.Caches) == 0 {
		return nil, &Rejection{Reason: proto.ReasonFetchFailed, Err: errors.New("neither the assignment nor the configuration names a cache")}
	}
	if len(o.TrustedKeys) == 0 {
		return nil, &Rejection{Reason: proto.ReasonUntrustedPath, Err: errors.New("the configuration trusts no key of a cache")}
	}
	timeout := f.Timeout
	if f.Room != nil {
		var err error
		if o.Missing, err = f.Room(ctx, o); err != nil {
			f.keepArrived(ctx, nil, reasonFor(err))
			return nil, err
		}
		timeout += f.Pace.takes(o.Missing.Size())
		defer f.count(o.Missing)
	}
	var worst proto.Reason
	var causes []error
	for _, cache := range o.Caches {
		c, err := f.bringFrom(ctx, cache, o, timeout)
		if err == nil {
			return c, nil
		}
		reason := reasonFor(err)
		f.keepArrived(ctx, o.Missing, reason)
		if ctx.Err() != nil {
			return nil, err
		}
		f.Log.WarnContext(ctx, "cache did not deliver", "cache", cache, "toplevel", o.Toplevel, "reason", reason, "err", err)
		causes = append(causes, fmt.Errorf("%s: %w", cache, err))
		worst = worse(worst, reason)
		if reason == proto.ReasonDiskFull {
			break // no cache can help
		}
	}
	return nil, &Rejection{Reason: worst, Err: errors.Join(causes...)}
}

// count says how much of what was missing is there now.
func (f Fetcher) count(missing proto.Closure) {
	if f.Brought != nil {
		f.Brought(missing.Size() - missingOf(missing, f.Root).Size())
	}
}

// bringFrom is [Transport.Bring] with a bound.
func (f Fetcher) bringFrom(ctx context.Context, cache string, o FetchOrder, timeout time.Duration) (proto.Closure, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c, err := f.Transport.Bring(ctx, cache, o)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		text := fmt.Sprintf("it took more than fetch.timeout, %s", f.Timeout)
		if paced := timeout - f.Timeout; paced > 0 {
			text += fmt.Sprintf(", and the %s that fetch.max_rate alone makes of it", paced.Round(time.Second))
		}
		return nil, &Rejection{Reason: proto.ReasonCacheUnreachable, Err: errors.New(text)}
	}
	return c, err
}

// worse returns the one of two reasons that tells more.
func worse(a, b proto.Reason) proto.Reason {
	// Ascending: that one cache is down says less than that another one lies.
	order := []proto.Reason{
		proto.ReasonCacheUnreachable, proto.ReasonFetchFailed, proto.ReasonUntrustedPath,
		proto.ReasonDigestMismatch, proto.ReasonDiskFull,
	}
	if slices.Index(order, a) > slices.Index(order, b) {
		return a
	}
	return b
}
