package leader

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestOneHoldsTheLeaseUntilItIsNotRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fakeBus{}
		a := acquire(t, t.Context(), options(b, "a"), "1")
		ctx, dies := context.WithTimeout(t.Context(), time.Minute)
		defer dies()
		kept := make(chan error, 1)
		go func() { kept <- a.Keep(ctx) }()
		start := time.Now()
		acquire(t, t.Context(), options(b, "b"), "2") // while a lives, this waits
		took := time.Since(start) - time.Minute
		if took < TTL-RenewInterval-tick || took > TTL+2*tick {
			t.Errorf("the lease was taken %s after its holder died", took)
		}
		if err := <-kept; err != nil {
			t.Errorf("keep: %v", err)
		}
		if a.Left() > 0 || !errors.Is(a.Check(time.Millisecond), ErrLost) {
			t.Errorf("%s of a lease are left that another has", a.Left())
		}
	})
}

func TestWhoResignsIsFollowedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fakeBus{}
		a := acquire(t, t.Context(), options(b, "a"), "1")
		if err := a.Resign(t.Context()); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		next := acquire(t, t.Context(), options(b, "b"), "2")
		if took := time.Since(start); took > tick {
			t.Errorf("taken after %s", took)
		}
		if err := a.Resign(t.Context()); err != nil || b.holder(t) != "b" {
			t.Errorf("who resigned twice took the lease of another: %v, %q", err, b.holder(t))
		}
		if err := next.Check(TTL - margin); err != nil {
			t.Error(err)
		}
	})
}

func TestAControllerThatIsStartedAgainTakesItsOwnLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fakeBus{}
		acquire(t, t.Context(), options(b, "a"), "1")
		start := time.Now()
		acquire(t, t.Context(), options(b, "a"), "2")
		if took := time.Since(start); took > 0 {
			t.Errorf("taken after %s", took)
		}
	})
}

func TestKeepEndsBeforeTheLeaseIsAnothers(t *testing.T) {
	for name, cut := range map[string]func(b *fakeBus){
		"no connection": func(b *fakeBus) { b.down = true },
		"no answer":     func(b *fakeBus) { b.set(func() (time.Duration, time.Duration, bool) { return time.Hour, 0, true }) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &fakeBus{}
				l := acquire(t, t.Context(), options(b, "a"), "1")
				start := time.Now()
				cut(b)
				if err := l.Keep(t.Context()); !errors.Is(err, ErrLost) {
					t.Errorf("keep: %v", err)
				}
				if took := time.Since(start); took > TTL-margin+time.Millisecond {
					t.Errorf("given up after %s", took)
				}
				b.set(nil)
			})
		})
	}
}

func TestAnAnswerThatIsLostIsNotTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fakeBus{}
		l := acquire(t, t.Context(), options(b, "a"), "1")
		n := 0
		b.set(func() (time.Duration, time.Duration, bool) { n++; return 0, 0, n == 1 })
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if err := l.Keep(ctx); err != nil {
			t.Errorf("keep: %v", err)
		}
		if n < 20 || l.Left() == 0 {
			t.Errorf("%d calls, %s left", n, l.Left())
		}
	})
}

func TestWhoSleptDoesNotHoldTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options(&fakeBus{}, "a")
		var slept atomic.Int64
		awake := o.Clock
		o.Clock = func() time.Duration { return awake() + time.Duration(slept.Load()) }
		l := acquire(t, t.Context(), o, "1")
		slept.Store(int64(time.Hour)) // no timer noticed
		if l.Left() > 0 || l.Check(time.Millisecond) == nil {
			t.Errorf("%s left after an hour of sleep", l.Left())
		}
		if err := l.Keep(t.Context()); !errors.Is(err, ErrLost) {
			t.Errorf("keep: %v", err)
		}
	})
}

func TestARecordOfAnotherVersionIsAnothersWhileItIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fakeBus{data: []byte(`{"format":2}`), seq: 7}
		var said error
		start := time.Now()
		_, err := Acquire(t.Context(), options(b, "a"), "1", func(_ string, err error) { said = err })
		if err != nil || time.Since(start) < TTL {
			t.Errorf("acquired after %s: %v", time.Since(start), err)
		}
		if said == nil || !strings.Contains(said.Error(), "format") {
			t.Errorf("said %v while waiting", said)
		}
	})
}

func TestAcquireEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fakeBus{down: true}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if _, err := Acquire(ctx, options(b, "a"), "1", func(string, error) {}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("acquire: %v", err)
		}
	})
}

// TestNeverTwoLeaders has controllers contend over a bus that delays, loses and
// reorders, while each stands still now and then, for an hour.
func TestNeverTwoLeaders(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &fakeBus{trouble: random(rand.New(rand.NewPCG(seed, 1)))} //nolint:gosec // to be repeated
				ctx, stop := context.WithTimeout(t.Context(), time.Hour)
				defer stop()
				held := make([]atomic.Pointer[Lease], 3)
				var terms atomic.Int64
				check := func() {
					var leaders []int
					for i := range held {
						if l := held[i].Load(); l != nil && l.Left() > 0 {
							leaders = append(leaders, i)
						}
					}
					if len(leaders) > 1 {
						t.Errorf("after %d terms %v lead", terms.Load(), leaders)
						stop()
					}
				}
				done := make(chan struct{})
				for i := range held {
					go func() {
						defer func() { done <- struct{}{} }()
						r := rand.New(rand.NewPCG(seed, uint64(i)+2)) //nolint:gosec // to be repeated
						for ctx.Err() == nil {
							l, err := Acquire(ctx, options(b, fmt.Sprint(i)), fmt.Sprint(i, terms.Load()), func(string, error) {})
							if err != nil {
								return
							}
							held[i].Store(l)
							terms.Add(1)
							check()
							life, die := context.WithTimeout(ctx, time.Duration(r.IntN(300))*time.Second)
							_ = l.Keep(life) // lost, or dead: both are an end
							die()
							if r.IntN(2) == 0 && ctx.Err() == nil {
								_ = l.Resign(ctx) // may be lost
							}
							sleep(ctx, time.Duration(r.IntN(20))*time.Second)
						}
					}()
				}
				for sleep(ctx, 50*time.Millisecond) {
					check()
				}
				for range held {
					<-done
				}
				if terms.Load() < 20 {
					t.Errorf("%d terms in an hour: the test is blind", terms.Load())
				}
				time.Sleep(time.Hour) // what is on its way arrives
			})
		})
	}
}
