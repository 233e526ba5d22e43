package controller

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// cacheCollector says what the embedded cache has.
type cacheCollector struct {
	retention *retention

	paths, bytes, free, last *prometheus.Desc
}

var _ prometheus.Collector = (*cacheCollector)(nil)

func newCacheCollector(r *retention) *cacheCollector {
	d := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("kedge_controller_cache_"+name, help, nil, nil)
	}
	return &cacheCollector{
		retention: r,
		paths:     d("paths", "Store paths in the embedded cache, as counted within five minutes."),
		bytes:     d("bytes", "Bytes of archives in the embedded cache, as counted within five minutes."),
		free:      d("free_bytes", "Bytes that may still be written to the file system of the embedded cache."),
		last:      d("last_prune_timestamp_seconds", "When the embedded cache was last pruned without an error; 0 if never."),
	}
}

// Describe implements [prometheus.Collector].
func (c *cacheCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.paths, c.bytes, c.free, c.last} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *cacheCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	var last time.Time
	if s := c.retention.last.Load(); s != 0 {
		last = time.Unix(s, 0)
	}
	gauge(c.last, seconds(last))
	if u, err := c.retention.cache.Usage(); err == nil { // a disk that cannot be read shows elsewhere
		gauge(c.paths, float64(u.Paths))
		gauge(c.bytes, float64(u.Bytes))
	}
	if free, err := c.retention.cache.Free(); err == nil {
		gauge(c.free, float64(free))
	}
}
