package controller

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"kedge/proto"
)

// hostCollector says how each host is, at the instant of the scrape, as its last
// status says it: for hosts that nobody can scrape. It shows no more hosts than max,
// none in part, and none that is revoked.
type hostCollector struct {
	fleet *Fleet
	max   int

	seen, silent, ready, serial, want, info *prometheus.Desc
	phase, since, condition, problem        *prometheus.Desc
	system, refused                         *prometheus.Desc
	omitted                                 *prometheus.Desc
}

var _ prometheus.Collector = (*hostCollector)(nil)

func newHostCollector(f *Fleet, limit int) *hostCollector {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("kedge_controller_"+name, help, labels, nil)
	}
	return &hostCollector{
		fleet: f, max: limit,
		seen:      d("host_last_seen_timestamp_seconds", "When a host was last heard of; 0 for never.", "host"),
		silent:    d("host_silent", "Whether a host was not heard of for three heartbeats.", "host"),
		ready:     d("host_ready", "Whether a host runs what was published for it, proven.", "host"),
		want:      d("host_published_serial", "Serial of the newest assignment that was published for a host; 0 for none.", "host"),
		serial:    d("host_accepted_serial", "Serial of the newest assignment that a host accepted; 0 for none.", "host"),
		info:      d("host_info", "The version of a host's agent, and the revision and the generation that it proved last; always 1.", "host", "agent", "revision", "generation"),
		phase:     d("host_deployment_info", "The phase of a host's current or last deployment, what it came to, and why; always 1.", "host", "phase", "verdict", "reason"),
		since:     d("host_deployment_phase_start_timestamp_seconds", "When a host's deployment entered its phase; 0 for never.", "host"),
		condition: d("host_condition", "1 if a condition of a host is true, 0 if it is false; nothing if that is not known.", "host", "type"),
		problem:   d("host_problem_info", "Why the newest revision did not reach a host; always 1, and nothing if it did.", "host", "reason"),
		system:    d("host_system_info", "The toplevels of a host: what it shall run, runs, booted, has in its profile, and proved last; always 1.", "host", "system", "toplevel"),
		refused:   d("host_refused_info", "Why a host refuses what is published for it; always 1, and nothing if it does not.", "host", "reason"),
		omitted:   d("hosts_omitted", "Hosts without series of their own, because there are more than metrics.hosts."),
	}
}

// Describe implements [prometheus.Collector].
func (c *hostCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.seen, c.silent, c.ready, c.serial, c.want, c.info, c.phase, c.since, c.condition, c.problem, c.system, c.refused, c.omitted,
	} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *hostCollector) Collect(ch chan<- prometheus.Metric) {
	hosts := letIn(c.fleet.View().Hosts)
	shown := hosts[:min(len(hosts), c.max)]
	ch <- prometheus.MustNewConstMetric(c.omitted, prometheus.GaugeValue, float64(len(hosts)-len(shown)))
	for _, h := range shown {
		c.collect(h, func(d *prometheus.Desc, v float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, slices.Insert(labels, 0, h.Host.String())...)
		})
	}
}

// collect shows one host.
func (c *hostCollector) collect(h proto.HostView, gauge func(d *prometheus.Desc, v float64, labels ...string)) {
	s := proto.Status{}
	if h.Status != nil {
		s = *h.Status
	}
	gauge(c.seen, seconds(h.Seen))
	gauge(c.silent, truth(h.Silent))
	gauge(c.want, float64(h.Want.Serial))
	gauge(c.serial, float64(s.Serial))
	gauge(c.ready, truth(h.Status != nil && s.Runs(h.Want.Toplevel)))
	if h.Problem != nil {
		gauge(c.problem, 1, string(h.Problem.Reason))
	}
	if !h.Want.Toplevel.IsZero() {
		gauge(c.system, 1, "desired", h.Want.Toplevel.String())
	}
	if h.Status == nil {
		return
	}
	for system, toplevel := range map[string]proto.StorePath{
		"current": s.Systems.Current, "booted": s.Systems.Booted, "profile": s.Systems.Profile, "proven": s.Systems.Proven,
	} {
		gauge(c.system, 1, system, toplevel.String())
	}
	if accepted, _ := s.Condition(proto.ConditionAccepted); accepted.Status == proto.StatusFalse {
		gauge(c.refused, 1, known(accepted.Reason))
	}
	gauge(c.info, 1, strings.ToValidUTF8(s.Agent[:min(len(s.Agent), maxVersion)], ""), s.Systems.Revision.String(), s.Systems.Generation.String())
	d := s.Deployment
	gauge(c.phase, 1, orNone(d.Phase), orNone(d.Verdict), known(d.Reason))
	gauge(c.since, seconds(d.Since))
	for _, condition := range proto.ConditionTypes() {
		if k, _ := s.Condition(condition); k.Status == proto.StatusTrue || k.Status == proto.StatusFalse {
			gauge(c.condition, truth(k.Status == proto.StatusTrue), string(condition))
		}
	}
}

// maxVersion is how much is shown of what a host says that its agent's version is.
const maxVersion = 64

// known returns a reason as a label: a host may say anything.
func known(r proto.Reason) string {
	if r != "" && !slices.Contains(proto.DeploymentReasons(), r) {
		return reasonOther
	}
	return string(r)
}

// reasonOther is the label of a reason that is not known here.
const reasonOther = "other"

// hostSeries is how many hosts have series of their own, unless the configuration
// says otherwise: with some 32 series each, what one Prometheus takes at a scrape.
const hostSeries = 1000

// A MetricsConfig bounds what is said to Prometheus.
type MetricsConfig struct {
	// Hosts is how many hosts have series of their own, the first by name; 0 for none.
	Hosts int `config:"hosts"`
}

func (c MetricsConfig) problems() []error {
	if c.Hosts < 0 {
		return []error{fmt.Errorf("metrics.hosts: must not be negative, got %d", c.Hosts)}
	}
	return nil
}
