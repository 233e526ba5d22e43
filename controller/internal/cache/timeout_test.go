package cache

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kedge/proto"
)

func TestNothingThatNixDoesHasNoEnd(t *testing.T) {
	for name, call := range map[string]func(context.Context, *Cache, proto.StorePath) error{
		"push":     func(ctx context.Context, c *Cache, p proto.StorePath) error { _, err := c.Push(ctx, p); return err },
		"relay":    func(ctx context.Context, c *Cache, p proto.StorePath) error { _, err := c.Relay(ctx, p); return err },
		"closures": func(ctx context.Context, c *Cache, p proto.StorePath) error { _, err := c.Closures(ctx, p); return err },
		"signed":   func(ctx context.Context, c *Cache, p proto.StorePath) error { return c.Signed(ctx, p, nil) },
	} {
		synctest.Test(t, func(t *testing.T) {
			n := newFake(t)
			n.hangs = true
			c := open(t, n, t.TempDir())
			start := time.Now()
			if err := call(t.Context(), c, path(t, "web1")); err == nil || !strings.Contains(err.Error(), "no end within 2h0m0s") {
				t.Errorf("%s: error = %v, want one that says for how long it was waited", name, err)
			}
			if took := time.Since(start); took != defaultTimeout {
				t.Errorf("%s: ended after %s, want %s", name, took, defaultTimeout)
			}
		})
	}
}

// TestACopyMayTakeAsLongAsItsCacheIsGiven, each of them: more than all else may.
func TestACopyMayTakeAsLongAsItsCacheIsGiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFake(t)
		slow := Target{URL: "s3://slow", Timeout: 6 * time.Hour}
		o, _ := openOther(t, n, slow, slow)
		took := 5 * time.Hour
		n.meanwhile = func() { time.Sleep(took) }
		if _, err := o.Push(t.Context(), path(t, "db1")); err != nil {
			t.Error(err)
		}
		took = 7 * time.Hour
		if _, err := o.Push(t.Context(), path(t, "web1")); err == nil || !strings.Contains(err.Error(), "no end within 6h0m0s") {
			t.Errorf("error = %v, want one that says for how long it was waited", err)
		}
	})
}

func TestWhoWaitsForAnotherCopyMayGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFake(t)
		n.hangs = true
		c := open(t, n, t.TempDir())
		first, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			_, err := c.Push(first, path(t, "web1"))
			ended <- err
		}()
		synctest.Wait()

		newer := errors.New("a newer revision came")
		second, supersede := context.WithCancelCause(t.Context())
		go func() {
			_, err := c.Push(second, path(t, "web2"))
			ended <- err
		}()
		synctest.Wait()
		supersede(newer)
		if err := <-ended; !errors.Is(err, newer) {
			t.Errorf("error = %v, want %v", err, newer)
		}
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("error of the first = %v, want %v", err, context.Canceled)
		}
		n.hangs = false
		if _, err := c.Push(t.Context(), path(t, "web2")); err != nil {
			t.Errorf("after both gave up: %v", err)
		}
	})
}
