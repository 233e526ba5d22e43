package controller

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kedge/proto"
)

// rolloutCollector says how the rollouts are, at the instant of the scrape.
type rolloutCollector struct {
	rollouts func() []proto.RolloutShowReply // the current one of each channel
	held     func() int                      // hosts that people hold

	state, hosts, waiting, wave, halted, changed, heldDesc *prometheus.Desc
}

var _ prometheus.Collector = (*rolloutCollector)(nil)

func newRolloutCollector(rollouts func() []proto.RolloutShowReply, held func() int) *rolloutCollector {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("kedge_controller_rollout_"+name, help, labels, nil)
	}
	return &rolloutCollector{
		rollouts: rollouts, held: held,
		state:    d("state", "1 for the state of a channel's rollout; 0 for the others.", "channel", "state"),
		hosts:    d("hosts", "Hosts of a channel's rollout, by what came of it.", "channel", "state"),
		waiting:  d("hosts_waiting", "Hosts that a channel's rollout has not come to, by what they wait for.", "channel", "reason"),
		wave:     d("wave", "Which wave a channel's rollout is in, from 1; one more than there are after the last.", "channel"),
		halted:   d("halted", "1 if a channel's rollout halted itself, and waits for a person.", "channel"),
		changed:  d("last_change_timestamp_seconds", "When a host or a wave of a channel's rollout last came further.", "channel"),
		heldDesc: d("hosts_held", "Hosts that people hold: they get nothing new."),
	}
}

// Describe implements [prometheus.Collector].
func (c *rolloutCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.state, c.hosts, c.waiting, c.wave, c.halted, c.changed, c.heldDesc} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *rolloutCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(c.heldDesc, float64(c.held()))
	for _, show := range c.rollouts() {
		r, channel := show.Rollout, show.Rollout.Channel
		for _, s := range proto.RolloutStates() {
			gauge(c.state, truth(r.State == s), channel, string(s))
		}
		n := r.Total()
		gauge(c.hosts, float64(n.Waiting), channel, string(proto.RolloutHostWaiting))
		gauge(c.hosts, float64(n.Published), channel, string(proto.RolloutHostPublished))
		gauge(c.hosts, float64(n.Deferred), channel, string(proto.RolloutHostDeferred))
		gauge(c.hosts, float64(n.Offline), channel, string(proto.RolloutHostOffline))
		gauge(c.hosts, float64(n.Silent), channel, string(proto.RolloutHostSilent))
		gauge(c.hosts, float64(n.Succeeded), channel, "succeeded")
		gauge(c.hosts, float64(n.Failed), channel, "failed")
		gauge(c.hosts, float64(n.Overtaken), channel, "overtaken")
		gauge(c.wave, float64(r.Wave+1), channel)
		gauge(c.halted, truth(r.State == proto.RolloutHalted), channel)
		gauge(c.changed, seconds(lastChange(show)), channel)
		waiting := waitingFor(show.Hosts)
		for _, reason := range waitReasons() {
			gauge(c.waiting, float64(waiting[reason]), channel, string(reason))
		}
	}
}

// lastChange returns when a rollout last came further.
func lastChange(show proto.RolloutShowReply) time.Time {
	last := later(show.Rollout.Created, show.Rollout.Since)
	for _, w := range show.Rollout.Waves {
		last = later(later(last, w.Started), w.Ended)
	}
	for _, h := range show.Hosts {
		last = later(last, h.Since)
	}
	return last
}

// waitingFor counts hosts by what they wait for.
func waitingFor(hosts []proto.RolloutHost) map[proto.Reason]int {
	n := map[proto.Reason]int{}
	for _, h := range hosts {
		if h.Waits != nil {
			n[h.Waits.For]++
		}
	}
	return n
}

// waitReasons are what a host of a rollout may wait for.
func waitReasons() []proto.Reason {
	return []proto.Reason{
		proto.ReasonItsTurn, proto.ReasonEarlierWave, proto.ReasonAwaitingCanary, proto.ReasonCanaryDeferred, proto.ReasonSoaking, proto.ReasonOutsideWindow,
		proto.ReasonAwaitingApproval, proto.ReasonInFlight, proto.ReasonHeld, proto.ReasonFrozen, proto.ReasonPaused, proto.ReasonFleetSilent,
		proto.ReasonHalted, proto.ReasonAborted, proto.ReasonReverted,
	}
}
