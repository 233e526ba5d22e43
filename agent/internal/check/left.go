package check

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

const (
	// gonePatience is how long what was killed may take to be gone when its check is tried
	// again.
	gonePatience = time.Second
	// gonePause is between two looks at that.
	gonePause = 10 * time.Millisecond
)

// leave notes the process group of the last try of the check called name, which was killed,
// if something of it is there still.
func (r *Runner) leave(name string, group int) {
	if !exists(group) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left == nil {
		r.left = make(map[string]int)
	}
	r.left[name] = group
}

// awaitGone returns once nothing is left of the last try of the check called name. The
// error is for what does not end: it would be one process more with each try.
func (r *Runner) awaitGone(ctx context.Context, name string) error {
	r.mu.Lock()
	group := r.left[name]
	delete(r.left, name)
	r.mu.Unlock()
	if group == 0 {
		return nil
	}
	for began := time.Now(); exists(group); {
		if time.Since(began) < gonePatience && pause(ctx, gonePause) {
			continue
		}
		r.leave(name, group)
		err := fmt.Errorf("not tried again: processes of group %d, of its last try, do not end though they were killed; "+
			"they wait for the kernel, see /proc/*/stack", group)
		if ctx.Err() != nil {
			return fmt.Errorf("%w; %w", context.Cause(ctx), err)
		}
		return err
	}
	return nil
}

// exists reports whether the process group has somebody in it. Who is dead counts until
// his parent has waited for him, as PID 1 does at once for orphans.
func exists(group int) bool { return syscall.Kill(-group, 0) == nil }
