package closure

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"kedge/internal/nix"
	"kedge/proto"
)

// storeDir is where paths are written to.
const storeDir = "/nix/store"

// fullBelow is how few free bytes make a failure one of the disk: Nix needs as
// much for its database alone.
const fullBelow = 16 << 20

// A Substituter brings paths from a cache; *nix.CLI is one.
type Substituter interface {
	Substitute(ctx context.Context, o nix.SubstituteOptions) (proto.Closure, error)
}

// Substitution is the transport of Nix itself: one process, many paths at once.
type Substitution struct {
	Nix Substituter // required
	// Free returns how many bytes may still be written to the store; defaults to
	// asking the file system.
	Free func() (uint64, error)
}

var _ Transport = Substitution{}

// Bring implements [Transport].
func (s Substitution) Bring(ctx context.Context, cache string, o FetchOrder) (proto.Closure, error) {
	if err := proto.ValidateCacheURL(cache); err != nil {
		return nil, &Rejection{Reason: proto.ReasonFetchFailed, Err: err}
	}
	c, err := s.Nix.Substitute(ctx, nix.SubstituteOptions{From: cache, Path: o.Toplevel, TrustedKeys: o.TrustedKeys})
	if err == nil || ctx.Err() != nil {
		return c, err
	}
	if r := rejectIO(err); r.Reason == proto.ReasonDiskFull {
		return nil, r
	}
	if s.full() {
		return nil, &Rejection{Reason: proto.ReasonDiskFull, Err: fmt.Errorf("%s has less than %d MiB free: %w", storeDir, fullBelow>>20, err)}
	}
	return nil, &Rejection{Reason: reasonOf(err), Err: err}
}

func (s Substitution) full() bool {
	free := s.Free
	if free == nil {
		free = FreeBytes
	}
	n, err := free()
	return err == nil && n < fullBelow
}

// FreeBytes returns how many bytes may still be written to the store.
func FreeBytes() (uint64, error) {
	v, err := VolumeOf(storeDir)
	return v.Free, err
}

// reasonOf reads the reason from what Nix says. Its words are all there is;
// what it never said before is a failed fetch.
func reasonOf(err error) proto.Reason {
	text := saidBy(err)
	for _, known := range []struct {
		reason proto.Reason
		words  []string
	}{
		{proto.ReasonUntrustedPath, []string{
			"lacks a signature by a trusted key", "lacks a valid signature", "not signed by any of the keys",
		}},
		{proto.ReasonDigestMismatch, []string{
			"hash mismatch importing path", "size mismatch importing path",
			// Bytes that are no archive at all.
			"non-zero padding", "input doesn't look like a nix archive", "bad archive", "failed to read compressed data",
		}},
		{proto.ReasonCacheUnreachable, []string{
			"could not connect", "couldn't connect", "failed to connect", "connection refused", "connection reset",
			"could not resolve", "couldn't resolve", "timeout was reached", "timed out", "no route to host",
			"network is unreachable", "ssl connect error", "http error 5", "does not appear to be a binary cache",
		}},
	} {
		for _, w := range known.words {
			if strings.Contains(text, w) {
				return known.reason
			}
		}
	}
	return proto.ReasonFetchFailed
}

// rejectIO is a rejection for what went wrong on this host.
func rejectIO(err error) *Rejection {
	if nix.DiskFull(err) {
		return &Rejection{Reason: proto.ReasonDiskFull, Err: err}
	}
	return &Rejection{Reason: proto.ReasonFetchFailed, Err: err}
}

// saidBy returns what the command that failed printed, in lower case.
func saidBy(err error) string {
	var ce *nix.CommandError
	if !errors.As(err, &ce) {
		return ""
	}
	return strings.ToLower(ce.Stderr)
}
