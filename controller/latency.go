package controller

import (
	"github.com/prometheus/client_golang/prometheus"

	"kedge/controller/internal/rollout"
)

// latencyCollector says how fast pushes reach hosts, as it is durable with the rollouts:
// it goes on where another controller stopped.
type latencyCollector struct {
	latencies func() map[string]rollout.Latency // by channel
	desc      *prometheus.Desc
}

var _ prometheus.Collector = (*latencyCollector)(nil)

func newLatencyCollector(latencies func() map[string]rollout.Latency) *latencyCollector {
	return &latencyCollector{latencies: latencies, desc: prometheus.NewDesc("kedge_controller_push_to_commit_seconds",
		"How long after a push was seen each host that it brought something new had committed that, with all that a rollout waits for.",
		[]string{"channel"}, nil)}
}

// Describe implements [prometheus.Collector].
func (c *latencyCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

// Collect implements [prometheus.Collector].
func (c *latencyCollector) Collect(ch chan<- prometheus.Metric) {
	for channel, l := range c.latencies() {
		buckets, below := map[float64]uint64{}, uint64(0)
		for i, bound := range rollout.LatencyBounds() {
			below += l.Counts[i]
			buckets[bound] = below
		}
		ch <- prometheus.MustNewConstHistogram(c.desc, l.Total(), l.Sum, buckets, channel)
	}
}

// latencies returns that of each channel; zero for one that rolled nothing out yet.
func (o *rollouts) latencies() map[string]rollout.Latency {
	all := map[string]rollout.Latency{}
	for channel, r := range o.runners {
		all[channel] = rollout.Latency{}
		if l := r.latency.Load(); l != nil {
			all[channel] = *l
		}
	}
	return all
}
