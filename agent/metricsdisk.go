package agent

import (
	"github.com/prometheus/client_golang/prometheus"

	"kedge/proto"
)

// diskMetrics are those of what is on the host's disks: deployments, and room for them.
type diskMetrics struct {
	phases, rollbacks, quarantined, generation, fetched, expiry *prometheus.Desc
	free, size, freeInodes, inodes, started, proven             *prometheus.Desc
}

func newDiskMetrics(desc func(name, help string, labels ...string) *prometheus.Desc) diskMetrics {
	return diskMetrics{
		phases:      desc("phase_duration_seconds", "How long the current or the last deployment was in each phase, until now; 0 for those that it was not in.", "phase"),
		rollbacks:   desc("rollbacks_total", "Deployments that went back to the proven system, or could not, by why.", "reason"),
		quarantined: desc("quarantined", "Toplevels that are not tried again on this host for now."),
		generation:  desc("generation", "Number of the generation that the system profile names; 0 for none."),
		fetched:     desc("fetched_bytes_total", "Size in the store of what fetches brought, as far as the list of what was missing was known."),
		expiry:      desc("assignment_expiry_timestamp_seconds", "When the accepted assignment expires, after which nothing of it is installed; 0 for none."),
		started:     desc("deployment_start_timestamp_seconds", "When the current or the last deployment began; 0 for never."),
		proven:      desc("proven_timestamp_seconds", "When the system that the host goes back to was committed, or adopted; 0 for none."),
		free:        desc("filesystem_free_bytes", "Bytes that are free on a file system that deployments write to.", "use", "mountpoint"),
		size:        desc("filesystem_size_bytes", "Bytes of that file system in all.", "use", "mountpoint"),
		freeInodes:  desc("filesystem_free_inodes", "Inodes that are free there; none where it makes them as it needs them.", "use", "mountpoint"),
		inodes:      desc("filesystem_inodes", "Inodes of that file system in all.", "use", "mountpoint"),
	}
}

// collect shows how it is now. What cannot be read is left out: the condition
// StateValid says so.
func (m diskMetrics) collect(a *Agent, v view, gauge, count func(d *prometheus.Desc, v float64, labels ...string)) {
	if record, err := a.Files.Deployment(); err == nil {
		gauge(m.started, seconds(record.Started))
		took := record.Durations(a.Now())
		for _, p := range proto.Phases() {
			if !p.Terminal() {
				gauge(m.phases, took[p].Seconds(), string(p))
			}
		}
	}
	if p, err := a.Files.Proven(); err == nil {
		gauge(m.proven, seconds(p.Since))
	}
	for _, r := range proto.DeploymentReasons() {
		count(m.rollbacks, v.rollbacks[r], string(r))
	}
	if q, err := a.Files.Quarantines(a.Now()); err == nil {
		gauge(m.quarantined, float64(len(q)))
	}
	if s, err := a.Systems.Systems(); err == nil {
		gauge(m.generation, float64(s.Generation))
	}
	count(m.fetched, float64(a.Fetcher.Brought()))
	expiry := 0.0
	if v.order != nil {
		expiry = seconds(v.order.Assignment.Expires)
	}
	gauge(m.expiry, expiry)
	for _, s := range a.Spaces.Look() {
		gauge(m.free, float64(s.Free), s.Use, s.Dir)
		gauge(m.size, float64(s.Size), s.Use, s.Dir)
		if s.Files > 0 {
			gauge(m.freeInodes, float64(s.Inodes), s.Use, s.Dir)
			gauge(m.inodes, float64(s.Files), s.Use, s.Dir)
		}
	}
}
