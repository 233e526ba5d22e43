package controller

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kedge/controller/internal/lease"
)

// What came of a host's request for a reboot lease.
const (
	leaseGranted  = "granted"
	leaseRefused  = "refused"
	leaseReleased = "released"
	leaseNotHeld  = "not-held" // and given back
	leaseFailed   = "failed"
)

func leaseResults() []string {
	return []string{leaseGranted, leaseRefused, leaseReleased, leaseNotHeld, leaseFailed}
}

// leaseCollector says who may reboot, at the instant of the scrape, as far as that
// is known. A host that keeps its lease shows as one that gets old.
type leaseCollector struct {
	slots int
	known func() (holders []lease.Holder, known bool)
	now   func() time.Time

	slotsDesc, held, age *prometheus.Desc
}

var _ prometheus.Collector = (*leaseCollector)(nil)

func newLeaseCollector(l *lease.Ledger, now func() time.Time) *leaseCollector {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("kedge_controller_"+name, help, labels, nil)
	}
	return &leaseCollector{
		slots: l.Rules().Slots, known: l.Known, now: now,
		slotsDesc: d("reboot_lease_slots", "How many hosts may have a reboot lease at a time."),
		held:      d("reboot_leases", "Hosts that have a reboot lease; not shown until that is known."),
		age:       d("reboot_lease_age_seconds", "How long each host that has a reboot lease has had it.", "host"),
	}
}

// Describe implements [prometheus.Collector].
func (c *leaseCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.slotsDesc, c.held, c.age} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *leaseCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(c.slotsDesc, float64(c.slots))
	holders, known := c.known()
	if !known {
		return
	}
	gauge(c.held, float64(len(holders)))
	for _, h := range holders {
		gauge(c.age, c.now().Sub(h.Since).Seconds(), h.Host.String())
	}
}
