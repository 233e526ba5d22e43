package rollout_test

import (
	"fmt"
	"testing"
	"time"

	"kedge/controller/internal/rollout"
	"kedge/internal/spec"
	"kedge/proto"
)

// sizes are of fleets; Next has nextBudget for the first.
var sizes = []int{1_000, 10_000}

const nextBudget = 10 * time.Millisecond

// big returns a rollout to n hosts, with everything that a spec may ask for, that is
// about to publish to a tenth of a wave of half of them; half of that is through.
func big(b *testing.B, n int) (rollout.Rollout, rollout.Fleet, time.Time) {
	b.Helper()
	odd, err := spec.ParseSelector("*1 or *3 or *5 or *7 or *9")
	if err != nil {
		b.Fatal(err)
	}
	budget := spec.Budget{Failed: spec.Percent(5), Silent: spec.Percent(20), Success: spec.Percent(50)}
	d := rollout.Draft{ID: "r1", Revision: revision(b, "1"), Created: start, Fleet: rollout.Fleet{Hosts: map[proto.HostName]rollout.Host{}, Since: start}}
	d.Spec.Rollout = spec.Rollout{
		Budget: budget, SilentAfter: time.Hour, MaxSilent: spec.Percent(50),
		Waves: []spec.Wave{{Name: "one", Hosts: odd, MaxInFlight: spec.Percent(10), Canary: spec.Canary{Size: spec.Percent(10)}}},
	}
	for i := range n {
		h := host(b, fmt.Sprint("host", i))
		d.Targets = append(d.Targets, rollout.Target{Host: h, Toplevel: system(b, h, "new")})
		d.Fleet.Hosts[h] = rollout.Host{Toplevel: system(b, h, "old"), Serial: 1, Reported: 1, Verdict: proto.VerdictSucceeded, Seen: start}
	}
	r, now := planned(b, d), start
	for range n {
		actions := rollout.Next(r, d.Fleet, now)
		publishes := len(actions) > 0 && actions[0].Kind == rollout.Publish
		if publishes && len(r.Left()) < n*3/4 {
			return r, d.Fleet, now
		}
		var done []rollout.Result
		for _, a := range actions {
			if a.Kind == rollout.Publish {
				d.Fleet.Hosts[a.Host] = rollout.Host{Toplevel: a.Toplevel, Serial: 2, Reported: 2, Verdict: proto.VerdictSucceeded, Seen: start}
			}
			done = append(done, rollout.Result{Action: a, Serial: 2})
		}
		next, err := r.Apply(done, now)
		if err != nil {
			b.Fatal(err)
		}
		r = next
	}
	b.Fatal("the rollout never came to its half")
	return r, d.Fleet, now
}

func eachSize(b *testing.B, f func(b *testing.B, r rollout.Rollout, fleet rollout.Fleet, now time.Time)) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r, fleet, now := big(b, n)
			f(b, r, fleet, now)
		})
	}
}

// BenchmarkNext is what a controller does at every report.
func BenchmarkNext(b *testing.B) {
	eachSize(b, func(b *testing.B, r rollout.Rollout, fleet rollout.Fleet, now time.Time) {
		for b.Loop() {
			if len(rollout.Next(r, fleet, now)) != len(fleet.Hosts)/20 {
				b.Fatal("it does not publish to a tenth of the wave")
			}
		}
		if took := b.Elapsed() / time.Duration(b.N); len(fleet.Hosts) == sizes[0] && took > nextBudget {
			b.Errorf("it took %s, and has %s", took, nextBudget)
		}
	})
}

// BenchmarkApply publishes to a tenth of the wave.
func BenchmarkApply(b *testing.B) {
	eachSize(b, func(b *testing.B, r rollout.Rollout, fleet rollout.Fleet, now time.Time) {
		var done []rollout.Result
		for _, a := range rollout.Next(r, fleet, now) {
			done = append(done, rollout.Result{Action: a, Serial: 2})
		}
		for b.Loop() {
			if _, err := r.Apply(done, now); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkExplain is what a controller does for a person who asks.
func BenchmarkExplain(b *testing.B) {
	eachSize(b, func(b *testing.B, r rollout.Rollout, fleet rollout.Fleet, now time.Time) {
		for b.Loop() {
			if len(rollout.Explain(r, fleet, now)) != len(fleet.Hosts) {
				b.Fatal("somebody is missing")
			}
		}
	})
}
