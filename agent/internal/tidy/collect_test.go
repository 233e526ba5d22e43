package tidy

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A disk has room, and garbage.
type disk struct {
	free, garbage uint64
	asked         []uint64
	collect       func(ctx context.Context) error // instead of at once
}

func (d *disk) CollectGarbage(ctx context.Context, bytes uint64) error {
	d.asked = append(d.asked, bytes)
	if d.collect != nil {
		if err := d.collect(ctx); err != nil {
			return err
		}
	}
	freed := min(bytes, d.garbage)
	d.free, d.garbage = d.free+freed, d.garbage-freed
	return nil
}

// collector begins below 100 bytes, and ends at 300.
func (d *disk) collector() *Collector {
	return NewCollector(CollectorOptions{
		MinFree: 100, MaxFree: 300, Nix: d, Log: slog.New(slog.DiscardHandler),
		Free: func() (uint64, error) { return d.free, nil },
	})
}

func TestCollector(t *testing.T) {
	low := (*Collector).IfLow
	room := func(bytes uint64) func(*Collector, context.Context) error {
		return func(c *Collector, ctx context.Context) error { return c.MakeRoom(ctx, bytes) }
	}
	for _, tt := range []struct {
		name    string
		free    uint64
		garbage uint64
		call    func(*Collector, context.Context) error
		asked   []uint64
		want    uint64 // free then
	}{
		{"there is room", 100, 1000, low, nil, 100},
		{"the store is low", 99, 1000, low, []uint64{201}, 300},
		{"there is less garbage than that", 99, 50, low, []uint64{201}, 149},
		{"more is needed than the goal", 200, 1000, room(500), []uint64{300}, 500},
		{"less is needed than the goal", 200, 1000, room(250), []uint64{100}, 300},
		{"what is needed is there", 600, 1000, room(500), nil, 600},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := &disk{free: tt.free, garbage: tt.garbage}
			c := d.collector()
			if err := tt.call(c, t.Context()); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(tt.asked, d.asked); diff != "" || d.free != tt.want {
				t.Errorf("%d are free, want %d; asked for (-want +got):\n%s", d.free, tt.want, diff)
			}
			got := c.Collected()
			if got.Freed != tt.want-tt.free || got.Failures != 0 || got.Last.IsZero() != (tt.asked == nil) {
				t.Errorf("counted %+v", got)
			}
		})
	}
}

func TestCollectorThatFails(t *testing.T) {
	d := &disk{free: 99, garbage: 1000}
	failure := errors.New("the database is locked")
	d.collect = func(context.Context) error { d.free += 20; return failure } // after a part of it
	c := d.collector()
	if err := c.IfLow(t.Context()); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
	if got := c.Collected(); got.Failures != 1 || got.Freed != 20 {
		t.Errorf("counted %+v", got)
	}
	c.Free = func() (uint64, error) { return 0, failure }
	if err := errors.Join(c.IfLow(t.Context()), c.MakeRoom(t.Context(), 1)); !errors.Is(err, failure) || len(d.asked) != 1 {
		t.Errorf("got %v, asked for %v", err, d.asked)
	}
}

func TestCollectionsAreOneAtATimeAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{garbage: 1000}
		d.collect = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		c := d.collector()
		first := make(chan error, 1)
		start := time.Now()
		go func() { first <- c.IfLow(t.Context()) }()
		synctest.Wait()

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := c.MakeRoom(ctx, 100); !errors.Is(err, context.DeadlineExceeded) || len(d.asked) != 1 {
			t.Errorf("the second: %v; %d were begun", err, len(d.asked))
		}
		if err := <-first; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the first: %v", err)
		}
		if took := time.Since(start); took != collectTimeout {
			t.Errorf("it took %s, want %s", took, collectTimeout)
		}
		if got := c.Collected(); got.Failures != 1 {
			t.Errorf("counted %+v", got)
		}

		// What is ended by whoever asked for it is no failure.
		ctx, cancel = context.WithCancel(t.Context())
		go func() { first <- c.IfLow(ctx) }()
		synctest.Wait()
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("ended: %v", err)
		}
		if got := c.Collected(); got.Failures != 1 {
			t.Errorf("counted %+v", got)
		}
	})
}
