package rollout

import (
	"time"

	"kedge/proto"
)

// latencyBuckets is how many bounds a [Latency] has.
const latencyBuckets = 13

// LatencyBounds returns the upper bounds, in seconds, of what a [Latency] counts. They
// are on disk by their number: others need another name there.
func LatencyBounds() [latencyBuckets]float64 {
	return [...]float64{1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600, 4 * 3600, 24 * 3600, 7 * 24 * 3600}
}

// A Latency counts how long after a push was seen each host had committed what came of
// it. It goes from each rollout of a channel to the next, so that it only grows, and is
// durable with the verdicts that it counts: none is counted twice.
type Latency struct {
	Sum    float64                    `json:"sum"`    // seconds
	Counts [latencyBuckets + 1]uint64 `json:"counts"` // up to each bound and above the one before; the last above all
}

// with returns l with one more, that took so long.
func (l Latency) with(took time.Duration) Latency {
	seconds := max(0, took.Seconds())
	i := 0
	for bounds := LatencyBounds(); i < len(bounds) && seconds > bounds[i]; {
		i++
	}
	l.Counts[i]++
	l.Sum += seconds
	return l
}

// Total returns how many were counted.
func (l Latency) Total() (n uint64) {
	for _, count := range l.Counts {
		n += count
	}
	return n
}

// arrived reports whether r's host p has only now come to what the push brought it.
// Who goes back does not come to that, nor who had it already.
func (r Rollout) arrived(p Progress, v proto.Verdict) bool {
	brings := !r.Seen.IsZero() && r.Instead.IsZero() && r.State != Reverting && p.Release.IsZero()
	return brings && p.moved() && v == proto.VerdictSucceeded && p.Verdict != proto.VerdictSucceeded
}
