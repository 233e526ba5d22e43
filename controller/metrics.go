package controller

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"kedge/controller/internal/httpapi"
	"kedge/proto"
)

// The stages of a revision, in order.
const (
	stageSource     = "source"
	stageEvaluation = "evaluation"
	stageBuild      = "build"
	stageCache      = "cache"
	stageSign       = "sign"
	stagePublish    = "publish"
)

// What became of a revision, or of one host's build.
const (
	resultSucceeded  = "succeeded"
	resultPartial    = "partial" // published, but not for every host
	resultFailed     = "failed"
	resultSuperseded = "superseded"
)

// metrics counts what happens. What is, is not counted but collected: see
// [fleetCollector].
type metrics struct {
	stages    *prometheus.HistogramVec
	revisions *prometheus.CounterVec
	builds    *prometheus.CounterVec
	requests  *prometheus.CounterVec
	refusals  *prometheus.CounterVec
	webhooks  *prometheus.CounterVec
	overs     *prometheus.CounterVec
	ends      *prometheus.CounterVec
	rollbacks *prometheus.CounterVec
	leases    *prometheus.CounterVec
}

// newMetrics registers the metrics of a controller with some channels.
func newMetrics(reg prometheus.Registerer, channels ...string) *metrics {
	f := promauto.With(reg)
	m := &metrics{
		stages: f.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "kedge_controller_stage_duration_seconds",
			Help:    "How long each stage of a revision took.",
			Buckets: []float64{0.005, 0.02, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800},
		}, []string{"stage"}),
		revisions: f.NewCounterVec(prometheus.CounterOpts{
			Name: "kedge_controller_revisions_total",
			Help: "Revisions worked on, by channel and result.",
		}, []string{"channel", "result"}),
		builds: f.NewCounterVec(prometheus.CounterOpts{
			Name: "kedge_controller_builds_total",
			Help: "Toplevels built, one for each host and revision, by result.",
		}, []string{"result"}),
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "kedge_controller_api_requests_total",
			Help: "Calls of the operator API, by endpoint and result.",
		}, []string{"endpoint", "result"}),
		refusals: f.NewCounterVec(prometheus.CounterOpts{
			Name: "kedge_controller_api_refusals_total",
			Help: "Requests to the API over HTTP that were refused before they were a call, by why.",
		}, []string{"code"}),
		webhooks: f.NewCounterVec(prometheus.CounterOpts{
			Name: "kedge_controller_webhooks_total",
			Help: "Webhooks, by channel and by what came of them.",
		}, []string{"channel", "result"}),
		overs: f.NewCounterVec(prometheus.CounterOpts{
			Name: "kedge_controller_force_pushes_total",
			Help: "Force-pushes that were let through, by channel.",
		}, []string{"channel"}),
		ends: f.NewCounterVec(prometheus.CounterOpts{
			Name: "kedge_controller_deployments_total",
			Help: "Deployments that hosts reported to have ended, by verdict.",
		}, []string{"verdict"}),
		rollbacks: f.NewCounterVec(prometheus.CounterOpts{
			Name: "kedge_controller_rollbacks_total",
			Help: "Deployments that hosts reported to have gone back from, or to have failed to, by why.",
		}, []string{"reason"}),
		leases: f.NewCounterVec(prometheus.CounterOpts{
			Name: "kedge_controller_reboot_lease_requests_total",
			Help: "Requests of hosts for reboot leases, by what came of them.",
		}, []string{"result"}),
	}
	for _, s := range []string{stageSource, stageEvaluation, stageBuild, stageCache, stageSign, stagePublish} {
		m.stages.WithLabelValues(s)
	}
	for _, c := range channels {
		m.overs.WithLabelValues(c)
		for _, r := range []string{resultSucceeded, resultPartial, resultFailed, resultSuperseded} {
			m.revisions.WithLabelValues(c, r)
		}
	}
	for _, r := range append([]string{resultSucceeded}, buildFailures()...) {
		m.builds.WithLabelValues(r)
	}
	for _, e := range proto.Endpoints() {
		for _, r := range requestResults() {
			m.requests.WithLabelValues(e.Name(), r)
		}
	}
	for _, c := range httpapi.RefusalCodes() {
		m.refusals.WithLabelValues(string(c))
	}
	for _, r := range append(proto.DeploymentReasons(), "", reasonOther) {
		m.rollbacks.WithLabelValues(string(r))
	}
	for _, r := range leaseResults() {
		m.leases.WithLabelValues(r)
	}
	for _, v := range proto.Verdicts() {
		if v != proto.VerdictPending {
			m.ends.WithLabelValues(string(v))
		}
	}
	return m
}

// ended counts a deployment that came to v because of why.
func (m *metrics) ended(v proto.Verdict, why proto.Reason) {
	m.ends.WithLabelValues(string(v)).Inc()
	if v == proto.VerdictRolledBack || v == proto.VerdictInconclusive || v == proto.VerdictRollbackFailed {
		m.rollbacks.WithLabelValues(known(why)).Inc()
	}
}

// newBuildInfo says which version runs.
func newBuildInfo(version string) prometheus.Collector {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "kedge_controller_build_info", Help: "The controller's version; always 1."}, []string{"version"})
	g.WithLabelValues(version).Set(1)
	return g
}

// buildFailures are the reasons for which one host's toplevel is not built.
func buildFailures() []string {
	return []string{
		string(proto.ReasonEvalFailed), string(proto.ReasonBuildFailed), string(proto.ReasonNotAToplevel), string(proto.ReasonDiskFull),
		string(proto.ReasonTwoChannels),
	}
}

// watch returns a stopwatch that was started at an instant.
func (m *metrics) watch(started time.Time, now func() time.Time) *stopwatch {
	return &stopwatch{metrics: m, now: now, last: started}
}

// stopwatch measures stages that follow each other. It logs as how long each of
// them took.
type stopwatch struct {
	metrics *metrics
	now     func() time.Time
	last    time.Time
	laps    []slog.Attr
}

// lap ends a stage and begins the next one.
func (w *stopwatch) lap(stage string) {
	now := w.now()
	took := now.Sub(w.last)
	w.last = now
	w.metrics.stages.WithLabelValues(stage).Observe(took.Seconds())
	w.laps = append(w.laps, slog.Duration(stage, took.Round(time.Millisecond)))
}

// LogValue implements [slog.LogValuer].
func (w *stopwatch) LogValue() slog.Value { return slog.GroupValue(w.laps...) }
