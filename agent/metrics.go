package agent

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kedge/agent/internal/hook"
	"kedge/proto"
)

// metrics is a collector that computes everything at scrape time from the
// agent's state, so that no gauge can get stuck.
type metrics struct {
	agent *Agent
	all   []*prometheus.Desc

	build, connected, contact, serial, converged, phase, phaseSince *prometheus.Desc
	reason, conditions, systems, deployments, rejected, reboot      *prometheus.Desc
	outbox, outboxDropped, outboxTorn, hooks, checks                *prometheus.Desc
	suspended, vetoes, pruned, pruneFailures                        *prometheus.Desc
	gcFreed, gcFailures, gcLast                                     *prometheus.Desc
	lost, resort, stuck                                             *prometheus.Desc
	expires                                                         *prometheus.Desc
	onDisk                                                          diskMetrics
}

func newMetrics(a *Agent) *metrics {
	var all []*prometheus.Desc
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		d := prometheus.NewDesc("kedge_agent_"+name, help, labels, nil)
		all = append(all, d)
		return d
	}
	m := &metrics{
		agent:         a,
		build:         desc("build_info", "The agent's version; always 1.", "version"),
		connected:     desc("connected", "Whether the agent is authenticated to NATS."),
		contact:       desc("last_contact_timestamp_seconds", "When the desired state was last read and verified; 0 for never."),
		serial:        desc("accepted_serial", "Serial of the newest assignment that was accepted; 0 for none."),
		converged:     desc("desired_matches_current", "Whether the host runs the accepted desired state, proven."),
		phase:         desc("deployment_phase", "1 for the phase of the current or the last deployment, 0 for the others.", "phase"),
		phaseSince:    desc("deployment_phase_start_timestamp_seconds", "When the deployment entered its phase; 0 for never."),
		reason:        desc("deployment_reason", "1 for the reason of the current or the last deployment, if it has one, 0 for the others.", "reason"),
		conditions:    desc("condition", "1 for the value that a condition has, 0 for the others.", "type", "status"),
		systems:       desc("system_info", "The toplevels of this host; always 1.", "system", "toplevel"),
		deployments:   desc("deployments_total", "Deployments that ended, by verdict.", "verdict"),
		rejected:      desc("rejected_total", "Desired states that were refused, by reason.", "reason"),
		reboot:        desc("reboot_needed", "Whether something of the running system takes effect with a reboot only."),
		hooks:         desc("hook_failures_total", "Times that a hook failed or passed its deadline.", "hook"),
		checks:        desc("check_passed", "Whether a check of the last deployment's system passed when it was last tried; none before the end of the probation.", "check"),
		outbox:        desc("outbox_events", "Events that were not acknowledged yet."),
		outboxDropped: desc("outbox_dropped_total", "Events that were dropped because the outbox was full, or because they never fit."),
		suspended:     desc("suspended", "Whether somebody on the host keeps the agent from beginning anything."),
		pruned:        desc("generations_deleted_total", "Generations of the system profile that were deleted."),
		pruneFailures: desc("generations_delete_failures_total", "Times that old generations, or their boot entries, could not be deleted."),
		gcFreed:       desc("gc_freed_bytes_total", "Bytes by which the free room in the store grew while garbage was collected."),
		gcFailures:    desc("gc_failures_total", "Times that garbage could not be collected, or not in time."),
		gcLast:        desc("gc_last_run_timestamp_seconds", "When a collection of garbage last ended; 0 for never."),
		lost:          desc("rollback_failed", "Whether the last way back failed and nothing has healed the host since: a person should look."),
		resort:        desc("last_resort", "Whether the host was rebooted because nobody answered after its last deployment went back."),
		expires:       desc("credentials_expiry_timestamp_seconds", "When the credentials expire unless they are renewed; 0 for never, or if that is not known."),
		stuck:         desc("transaction_stuck", "Whether the transaction that is under way cannot go on, and tries again."),
		vetoes:        desc("vetoes", "How many hold back the activation of what is fetched, or a reboot.", "of"),
		onDisk:        newDiskMetrics(desc),
		outboxTorn:    desc("outbox_torn_total", "Events whose files could not be read and were set aside."),
	}
	m.all = all
	return m
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range m.all {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	s, v := m.agent.Status(), m.agent.look()
	link, _ := m.agent.Link.Watch()

	gauge(m.build, 1, m.agent.Identity.Version)
	gauge(m.connected, number(link.Connected))
	gauge(m.contact, seconds(v.contact))
	gauge(m.serial, float64(s.Serial))
	gauge(m.phaseSince, seconds(s.Deployment.Since))
	for _, p := range proto.Phases() {
		gauge(m.phase, number(p == s.Deployment.Phase), string(p))
	}
	for _, r := range proto.DeploymentReasons() {
		gauge(m.reason, number(r == s.Deployment.Reason), string(r))
	}
	for _, c := range s.Deployment.Checks {
		gauge(m.checks, number(c.Passed), c.Name)
	}
	for _, c := range s.Conditions {
		if c.Type == proto.ConditionReady {
			gauge(m.converged, number(c.Status == proto.StatusTrue))
		}
		if c.Type == proto.ConditionRebootNeeded {
			gauge(m.reboot, number(c.Status == proto.StatusTrue))
		}
		for _, status := range []proto.ConditionStatus{proto.StatusTrue, proto.StatusFalse, proto.StatusUnknown} {
			gauge(m.conditions, number(c.Status == status), string(c.Type), string(status))
		}
	}
	for system, path := range map[string]proto.StorePath{
		"current": s.Systems.Current, "booted": s.Systems.Booted, "profile": s.Systems.Profile, "proven": s.Systems.Proven,
	} {
		gauge(m.systems, 1, system, path.String())
	}
	if v.order != nil {
		gauge(m.systems, 1, "desired", v.order.Release.Toplevel.String())
	}
	for _, verdict := range proto.Verdicts() {
		if verdict != proto.VerdictPending {
			count(m.deployments, v.deployments[verdict], string(verdict))
		}
	}
	for _, reason := range append(proto.RefusalReasons(), proto.ReasonStateUnreadable, proto.ReasonWrongMachine) {
		count(m.rejected, v.refusals[reason], string(reason))
	}
	for _, point := range hook.Points() {
		count(m.hooks, v.hookFailures[point], string(point))
	}
	suspended, _ := s.Condition(proto.ConditionSuspended)
	gauge(m.suspended, number(suspended.Status == proto.StatusTrue))
	count(m.pruned, v.pruned)
	count(m.pruneFailures, v.pruneFailures)
	collected := m.agent.Tidier.Collected()
	count(m.gcFreed, float64(collected.Freed))
	count(m.gcFailures, float64(collected.Failures))
	gauge(m.gcLast, seconds(collected.Last))
	all := v.inhibitors.with(m.agent.Files.Vetoes())
	gauge(m.vetoes, float64(len(all.live)), "activation")
	gauge(m.vetoes, float64(len(all.reboot)), "reboot")
	gauge(m.expires, seconds(m.agent.Keeper.State().Expires))
	m.onDisk.collect(m.agent, v, gauge, count)
	gauge(m.lost, number(m.agent.lost()))
	stuck, _ := s.Condition(proto.ConditionStuck)
	gauge(m.stuck, number(stuck.Status == proto.StatusTrue))
	gauge(m.resort, number(m.agent.resorted()))
	gauge(m.outbox, float64(m.agent.Outbox.Len()))
	count(m.outboxDropped, float64(m.agent.Outbox.Dropped()))
	count(m.outboxTorn, float64(m.agent.Outbox.Torn()))
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixNano()) / 1e9
}
