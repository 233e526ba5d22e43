package controller

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kedge/proto"
)

// fleetCollector says how the fleet is, at the instant of the scrape. No gauge
// is ever set by an event, so none can be forgotten.
type fleetCollector struct {
	fleet     *Fleet
	oldest    func() time.Time // date of the oldest assignment; zero for none
	unsynced  func() int       // hosts whose desired state is not on the bus
	connected func() bool      // to NATS

	hosts, silent, ready, problems, rivals     *prometheus.Desc
	checked, healthy, sourceProblem, revision  *prometheus.Desc
	oldestDesc, unsyncedDesc, natsConnectedDes *prometheus.Desc
}

var _ prometheus.Collector = (*fleetCollector)(nil)

func newFleetCollector(f *Fleet, oldest func() time.Time, unsynced func() int, connected func() bool) *fleetCollector {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("kedge_controller_"+name, help, labels, nil)
	}
	return &fleetCollector{
		fleet: f, oldest: oldest, unsynced: unsynced, connected: connected,
		hosts:            d("hosts", "Hosts by the phase of their last deployment, and by what it came to.", "phase", "verdict"),
		silent:           d("hosts_silent", "Hosts that were not heard of for three heartbeats."),
		rivals:           d("hosts_second_machine", "Hosts that a second machine with the same credentials was heard of, within a quarter of an hour."),
		ready:            d("hosts_ready", "Hosts that run what was published for them, proven."),
		problems:         d("hosts_problem", "Hosts that the newest revision did not reach, by reason.", "reason"),
		checked:          d("source_last_check_timestamp_seconds", "When the source of a channel was last looked at; 0 if never.", "channel"),
		healthy:          d("source_healthy", "1 if the source of a channel could be looked at and its newest revision was published whole.", "channel"),
		sourceProblem:    d("source_problem", "1 for the reason why the source of a channel could not be looked at, or its newest revision was not published whole; 0 for the others.", "channel", "reason"),
		revision:         d("revision_info", "The newest revisions of a channel: seen at the source, and built.", "channel", "state", "revision"),
		oldestDesc:       d("oldest_assignment_timestamp_seconds", "When the oldest assignment was signed; hosts install nothing once it is 24 h old. 0 if there is none."),
		unsyncedDesc:     d("hosts_unsynced", "Hosts whose desired state is durable here, but not known to be on NATS."),
		natsConnectedDes: d("nats_connected", "1 if the controller is connected to NATS."),
	}
}

// Describe implements [prometheus.Collector].
func (c *fleetCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.hosts, c.silent, c.ready, c.problems, c.rivals, c.checked, c.healthy, c.sourceProblem, c.revision,
		c.oldestDesc, c.unsyncedDesc, c.natsConnectedDes,
	} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *fleetCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	v := c.fleet.View()
	n := count(letIn(v.Hosts))
	for _, p := range append(proto.Phases(), proto.PhaseNone) {
		gauge(c.hosts, float64(n.phases[p]), orNone(p), orNone(p.Verdict()))
	}
	gauge(c.silent, float64(n.silent))
	gauge(c.ready, float64(n.ready))
	gauge(c.rivals, float64(n.rivals))
	for _, reason := range hostReasons() {
		gauge(c.problems, float64(n.problems[reason]), string(reason))
	}
	for _, s := range v.Sources {
		gauge(c.checked, seconds(s.Checked), s.Channel)
		gauge(c.healthy, truth(!s.Checked.IsZero() && s.Error == ""), s.Channel)
		for _, reason := range sourceReasons() {
			gauge(c.sourceProblem, truth(s.Reason == reason), s.Channel, string(reason))
		}
		gauge(c.revision, 1, s.Channel, "seen", s.Revision.String())
		gauge(c.revision, 1, s.Channel, "built", s.Built.String())
	}
	gauge(c.oldestDesc, seconds(c.oldest()))
	gauge(c.unsyncedDesc, float64(c.unsynced()))
	gauge(c.natsConnectedDes, truth(c.connected()))
}

// numbers counts hosts.
type numbers struct {
	phases        map[proto.Phase]int
	problems      map[proto.Reason]int
	silent, ready int
	rivals        int
}

func count(hosts []proto.HostView) numbers {
	n := numbers{phases: map[proto.Phase]int{}, problems: map[proto.Reason]int{}}
	for _, h := range hosts {
		phase := proto.PhaseNone
		if h.Status != nil {
			phase = h.Status.Deployment.Phase
			if h.Status.Runs(h.Want.Toplevel) {
				n.ready++
			}
		}
		n.phases[phase]++
		if h.Silent {
			n.silent++
		}
		if h.Rival != nil {
			n.rivals++
		}
		if h.Problem != nil {
			n.problems[h.Problem.Reason]++
		}
	}
	return n
}

func orNone[T ~string](s T) string {
	if s == "" {
		return "none"
	}
	return string(s)
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
