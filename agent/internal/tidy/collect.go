package tidy

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// collectTimeout bounds one collection. What it deleted by then stays deleted.
const collectTimeout = 30 * time.Minute

// A Store has garbage that can be collected; *nix.CLI is one.
type Store interface {
	// CollectGarbage deletes what no root leads to until about so many bytes are
	// freed.
	CollectGarbage(ctx context.Context, bytes uint64) error
}

// CollectorOptions is what a Collector needs.
type CollectorOptions struct {
	MinFree uint64                 // bytes; if fewer are free in the store, it is low
	MaxFree uint64                 // bytes; a collection ends when so many are free
	Nix     Store                  // required
	Free    func() (uint64, error) // how many bytes are free in the store; required
	Log     *slog.Logger           // required
	Now     func() time.Time       // defaults to time.Now
}

// A Collector collects garbage where the store has little room, one collection at
// a time. It is safe for concurrent use. Make one with [NewCollector].
type Collector struct {
	CollectorOptions
	one chan struct{} // has a value while somebody collects

	mu        sync.Mutex
	collected Collected // guarded by mu
}

// Collected says what came of all collections.
type Collected struct {
	Freed    uint64    // bytes by which the free room grew
	Failures int       // collections that did not come to their end
	Last     time.Time // when the last one ended; zero for never
}

// NewCollector returns a collector for o.
func NewCollector(o CollectorOptions) *Collector {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Collector{CollectorOptions: o, one: make(chan struct{}, 1)}
}

// IfLow collects garbage if the store is low.
func (c *Collector) IfLow(ctx context.Context) error {
	free, err := c.Free()
	if err != nil || free >= c.MinFree {
		return err
	}
	return c.MakeRoom(ctx, c.MaxFree)
}

// MakeRoom collects garbage until at least so many bytes are free, and MaxFree,
// or nothing is left to collect: that is no error.
func (c *Collector) MakeRoom(ctx context.Context, bytes uint64) error {
	select {
	case c.one <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-c.one }()
	before, err := c.Free()
	if err != nil {
		return err
	}
	goal := max(bytes, c.MaxFree)
	if before >= goal {
		return nil
	}
	start := c.Now()
	c.Log.InfoContext(ctx, "garbage is collected", "free", before, "goal", goal)
	err = c.collect(ctx, goal-before)
	after, statErr := c.Free()
	if statErr != nil {
		after = before
	}
	freed := max(after, before) - before // somebody else writes, too
	c.count(freed, err != nil && ctx.Err() == nil)
	c.Log.InfoContext(ctx, "garbage was collected", "freed", freed, "free", after, "seconds", c.Now().Sub(start).Seconds(), "complete", err == nil)
	return err
}

func (c *Collector) collect(ctx context.Context, bytes uint64) error {
	ctx, cancel := context.WithTimeout(ctx, collectTimeout)
	defer cancel()
	if err := c.Nix.CollectGarbage(ctx, bytes); err != nil {
		return fmt.Errorf("collect garbage: %w", err)
	}
	return nil
}

func (c *Collector) count(freed uint64, failed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.collected.Freed += freed
	c.collected.Last = c.Now()
	if failed {
		c.collected.Failures++
	}
}

// Collected returns what came of all collections so far.
func (c *Collector) Collected() Collected {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.collected
}
