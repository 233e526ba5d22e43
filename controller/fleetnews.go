package controller

import (
	"context"

	"kedge/proto"
)

// Version returns the fleet's version.
func (f *Fleet) Version() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.version
}

// CaughtUp notes that everything was heard that hosts said before this controller
// started. Until then, not to have heard of a host means nothing.
func (f *Fleet) CaughtUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.caughtUp {
		f.caughtUp = true
		f.bump(nil)
	}
}

// IsCaughtUp reports whether [Fleet.CaughtUp] was called.
func (f *Fleet) IsCaughtUp() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.caughtUp
}

// AwaitCaughtUp returns when [Fleet.CaughtUp] was called, or when ctx ends.
func (f *Fleet) AwaitCaughtUp(ctx context.Context) {
	f.await(ctx, func() bool { return f.caughtUp })
}

// Await returns when the fleet's version is not after any more, or when ctx
// ends. A version from another life of the controller is no reason to wait.
func (f *Fleet) Await(ctx context.Context, after uint64) {
	f.await(ctx, func() bool { return f.version != after })
}

// AwaitHost is [Fleet.Await] for one host: other hosts' changes do not end it.
func (f *Fleet) AwaitHost(ctx context.Context, host proto.HostName, after uint64) {
	f.await(ctx, func() bool {
		h, known := f.hosts[host]
		return known && h.version != after
	})
}

// await returns when done, called under the mutex, says so, or when ctx ends.
func (f *Fleet) await(ctx context.Context, done func() bool) {
	for {
		f.mu.Lock()
		ready, changed := done(), f.changed
		f.mu.Unlock()
		if ready {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// bump makes a new version, of h if it is not nil. The caller holds the mutex.
func (f *Fleet) bump(h *hostState) {
	f.version++
	if h != nil {
		h.version = f.version
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

// changes returns how a toplevel differs from what a host ran when it was built or
// published, without the packages; nil if that is not known.
func (f *Fleet) changes(host proto.HostName, toplevel proto.StorePath) *proto.Changes {
	f.mu.Lock()
	defer f.mu.Unlock()
	h, known := f.hosts[host]
	if !known || h.view.Changes == nil || h.view.Changes.To != toplevel {
		return nil
	}
	return h.view.Changes
}

// Change notes how what was built or published for a host differs from what it runs.
func (f *Fleet) Change(host proto.HostName, c proto.Changes) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h, known := f.hosts[host]
	if !known {
		h = f.add(host)
	}
	h.changes = &c
	counts := c
	counts.Packages = nil
	h.view.Changes = &counts
	f.bump(h)
}
