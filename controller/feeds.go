package controller

import (
	"context"
	"log/slog"
	"time"

	"kedge/proto"
	"kedge/proto/bus"
)

// sweepInterval is how often silent hosts are looked for: often enough beside
// [SilentAfter].
const sweepInterval = 10 * time.Second

// feeds bring what hosts say into the fleet.
type feeds struct {
	bus     *bus.Fleet
	fleet   *Fleet
	metrics *metrics
	log     *slog.Logger
}

// statuses keeps the fleet at what every host said last.
func (f *feeds) statuses(ctx context.Context) error {
	return f.bus.Statuses(ctx, bus.StatusFeed{
		Status:   func(r bus.StatusReport) { f.fleet.Apply(r.Status, r.Received) },
		CaughtUp: f.fleet.CaughtUp,
	})
}

// heartbeats notes who lives.
func (f *feeds) heartbeats(ctx context.Context) error {
	return f.bus.Heartbeats(ctx, func(r bus.HeartbeatReport) { f.heard(ctx, r) })
}

// heard notes who lives, and that two machines take turns to be one host.
func (f *feeds) heard(ctx context.Context, r bus.HeartbeatReport) {
	if h := r.Heartbeat; f.fleet.Heard(h.Host, h.BootID, r.Received) {
		f.log.ErrorContext(ctx, "two machines are one host", "host", h.Host, "boot_id", h.BootID)
	}
}

// events counts and logs how deployments end. An event may come twice; that the
// count is then one too high is cheaper than remembering them all.
func (f *feeds) events(ctx context.Context) error {
	return f.bus.FollowEvents(ctx, func(n proto.NumberedEvent) error {
		e := n.Event
		if e.Deployment == "" || !e.Phase.Terminal() {
			return nil
		}
		v := e.Phase.Verdict()
		f.metrics.ended(v, e.Reason)
		level := slog.LevelInfo
		if v.Bad() {
			level = slog.LevelWarn
		}
		f.log.LogAttrs(ctx, level, "deployment ended", slog.Any("host", e.Host), slog.String("verdict", string(v)),
			slog.String("reason", string(e.Reason)), slog.String("message", e.Message),
			slog.Any("serial", e.Serial), slog.String("revision", e.Revision.String()))
		return nil
	})
}

// sweep finds hosts that fell silent.
func (f *feeds) sweep(ctx context.Context) error {
	for sleep(ctx, sweepInterval) {
		f.fleet.Sweep()
	}
	return nil
}
