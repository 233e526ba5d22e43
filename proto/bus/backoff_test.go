package bus

import (
	"testing"
	"time"
)

func TestBackoffDoublesUpToItsCap(t *testing.T) {
	b := Backoff{}.withDefaults()
	for attempt, want := range map[int]time.Duration{
		1:       time.Second,
		2:       2 * time.Second,
		3:       4 * time.Second,
		7:       64 * time.Second,
		8:       120 * time.Second,
		1 << 40: 120 * time.Second,
	} {
		if got := b.ceiling(attempt); got != want {
			t.Errorf("ceiling(%d) = %v, want %v", attempt, got, want)
		}
	}
	if got := (Backoff{Base: time.Minute, Cap: time.Second}).ceiling(1); got != time.Second {
		t.Errorf("a base above the cap: got %v, want %v", got, time.Second)
	}
}

func TestBackoffIsSpreadOverTheWholeTime(t *testing.T) {
	b := Backoff{Base: time.Second, Cap: time.Minute}
	low, high := time.Hour, time.Duration(0)
	for range 1000 {
		d := b.delay(3)
		low, high = min(low, d), max(high, d)
	}
	if low < 0 || low > 500*time.Millisecond || high > 4*time.Second || high < 3500*time.Millisecond {
		t.Errorf("1000 delays lie between %v and %v, want them between 0 and 4 s", low, high)
	}
}
