package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"kedge/controller/internal/build"
	"kedge/controller/internal/cache"
	"kedge/proto"
)

// maxPushFailures is after how many hosts whose closures cannot be copied, and none
// whose can, the cache itself is taken for broken.
const maxPushFailures = 8

// A Pusher makes closures fetchable, durably, and returns them. It costs little
// for those that are fetchable already.
type Pusher interface {
	Push(ctx context.Context, toplevels ...proto.StorePath) (cache.Closures, error)
}

var _ Pusher = (*cache.Cache)(nil)

// push makes fetchable what was built. Where that fails for all together it is
// done one by one, and hosts that it fails for are moved to those that failed to
// build. The error is about all of them. A cache that hangs is waited for once: what it
// has taken by then it has when the revision is tried again.
func push(ctx context.Context, to Pusher, b build.Builds) (cache.Closures, error) {
	closures, err := to.Push(ctx, slices.SortedFunc(maps.Values(b.Toplevels), proto.StorePath.Compare)...)
	if err == nil || len(b.Toplevels) == 1 || isSlow(err) {
		return closures, err
	}
	closures = cache.Closures{}
	failed := map[proto.HostName]error{}
	for _, host := range slices.SortedFunc(maps.Keys(b.Toplevels), proto.HostName.Compare) {
		one, err := to.Push(ctx, b.Toplevels[host])
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if isSlow(err) {
			return nil, err
		}
		maps.Copy(closures, one)
		if err == nil {
			continue
		}
		failed[host] = err
		if len(closures) == 0 && len(failed) == min(len(b.Toplevels), maxPushFailures) {
			return nil, err
		}
	}
	for host, err := range failed {
		delete(b.Toplevels, host)
		b.Failed[host] = build.NewHostError(host, proto.ReasonBuildFailed, fmt.Errorf("copy into the cache: %w", err))
	}
	return closures, nil
}

// isSlow reports whether a cache took longer than it may.
func isSlow(err error) bool {
	_, ok := errors.AsType[*cache.SlowError](err)
	return ok
}
