package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"kedge/agent/internal/activation"
	"kedge/agent/internal/statefile"
)

// Pauses between two tries to take the lock: the agent has it for an instant, another
// transaction for as long as it runs.
const (
	lockPause    = 50 * time.Millisecond
	lockMaxPause = 5 * time.Second
)

// awaitLock takes the lock of the transaction. Whoever has it is waited for: it is
// about to settle the same record, or to change it. The log says once who that is.
func awaitLock(ctx context.Context, files statefile.Dir, log *slog.Logger) (*statefile.Lock, error) {
	for n := 1; ; n++ {
		lock, err := files.LockTransaction()
		if !errors.Is(err, statefile.ErrLocked) {
			return lock, err
		}
		pause := backoff(lockPause, lockMaxPause, n)
		if pause >= time.Second && backoff(lockPause, lockMaxPause, n-1) < time.Second {
			log.InfoContext(ctx, "another process has the record, and is waited for", "holder", activation.Holder(files.LockPath()))
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrUnsettled, err)
		}
	}
}
