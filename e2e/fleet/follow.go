package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// againInterval is between a kedge that ended and the next one.
const againInterval = 500 * time.Millisecond

// follow returns what a kedge on the build host that prints JSON and goes on says, while
// anybody answers it, until ctx ends and it is closed. One that ends is started again, and
// says what it had to say before once more. failed returns why the last one did.
func follow[T any](ctx context.Context, f *Fleet, args ...string) (said <-chan T, failed func() error) {
	values := make(chan T)
	var mu sync.Mutex
	var last error // guarded by mu
	go func() {
		defer close(values)
		for ctx.Err() == nil {
			var text strings.Builder
			err := f.build.Follow(ctx, func(line string) {
				text.WriteString(line)
				var v T
				if !strings.HasSuffix(line, "}") || json.Unmarshal([]byte(text.String()), &v) != nil {
					return // more of it is to come
				}
				text.Reset()
				select {
				case values <- v:
				case <-ctx.Done():
				}
			}, append([]string{"kedge"}, args...)...)
			if ctx.Err() != nil {
				return
			}
			mu.Lock()
			last = errors.Join(err, unfinished(text.String()))
			mu.Unlock()
			select {
			case <-time.After(againInterval):
			case <-ctx.Done():
			}
		}
	}()
	return values, func() error {
		mu.Lock()
		defer mu.Unlock()
		return last
	}
}

func unfinished(text string) error {
	if text == "" {
		return nil
	}
	return fmt.Errorf("kedge ended with %q", text)
}
