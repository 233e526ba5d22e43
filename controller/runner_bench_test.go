package controller

import (
	"strconv"
	"testing"
	"time"

	"kedge/controller/internal/cache"
	"kedge/internal/spec"
	"kedge/proto"
)

// BenchmarkRunner begins the rollout of a revision to 10,000 hosts, and then
// settles it as they report.
func BenchmarkRunner(b *testing.B) {
	toplevels := map[proto.HostName]proto.StorePath{}
	a := storePath(b, "a")
	for i := range 10_000 {
		toplevels[host(b, "host-"+strconv.Itoa(i))] = a
	}
	closures := cache.Closures{a: proto.Closure{{Path: a, NarHash: "sha256:0", NarSize: 1}}}
	for b.Loop() {
		r := newRunner()
		for h := range toplevels {
			r.fleet.Heard(h, "", time.Now())
		}
		signed, err := r.sign(revision(b, "1"), toplevels, closures)
		if err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		if err := r.begin(b.Context(), revision(b, "1"), spec.Spec{}, toplevels, signed); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s/begin")
		began = time.Now()
		for h := range toplevels {
			r.fleet.Apply(status(h, 1, proto.PhaseCommitted), time.Now())
		}
		if err := r.round(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s/settle")
	}
}
