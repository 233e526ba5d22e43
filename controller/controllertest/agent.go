package controllertest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"kedge/proto"
	"kedge/proto/bus"
	"kedge/proto/outbound"
)

// An Agent is a host that deploys whatever it verified by saying that it did. Of a
// deployment that ends badly it also sends a log.
type Agent struct {
	Host        proto.HostName
	Server      string // URL
	Outbound    outbound.Options
	Credentials string // path
	Trust       proto.Trust
	// Phase is how its deployments end; zero means committed.
	Phase proto.Phase
	// Floor is what it accepted before.
	Floor proto.Floor
}

// Run reports until ctx ends.
func (a Agent) Run(ctx context.Context) error {
	log := slog.New(slog.DiscardHandler)
	conn, err := bus.Connect(ctx, bus.Options{Servers: []string{a.Server}, Name: a.Host.String(), Credentials: a.Credentials, Outbound: a.Outbound, Log: log})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.AwaitConnected(ctx); err != nil {
		return err
	}
	host := bus.NewHost(conn, a.Host)
	defer host.Close()
	status := proto.Status{Host: a.Host, Agent: "test", BootID: "1", Trust: a.Trust.Status(), Challenge: a.Floor.Challenge}
	for {
		if err := a.look(ctx, host, &status); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-host.Doorbell():
		case <-ctx.Done():
			return nil
		}
	}
}

// look reads the desired state, and deploys it if it is new.
func (a *Agent) look(ctx context.Context, host *bus.Host, s *proto.Status) error {
	s.Time, s.Floor = time.Now().UTC(), a.Floor.Serial
	raw, err := host.Desired(ctx)
	if errors.Is(err, bus.ErrNoDesired) {
		return host.PublishStatus(ctx, *s)
	}
	if err != nil {
		return err
	}
	desired, err := proto.ParseDesired(raw.Data)
	if err != nil {
		return err
	}
	order, err := desired.Verify(a.Trust, a.Host, a.Floor, time.Now())
	a.Floor, s.Challenge, s.Floor = order.Floor, order.Floor.Challenge, order.Floor.Serial
	if err != nil {
		r := proto.RefusalOf(err)
		s.Refused = r.Serial
		s.Conditions = []proto.Condition{{Type: proto.ConditionAccepted, Status: proto.StatusFalse, Reason: r.Reason, Message: r.Error()}}
		return host.PublishStatus(ctx, *s)
	}
	if order.Assignment.Serial == s.Serial {
		return host.PublishStatus(ctx, *s)
	}
	s.Serial, s.Refused = order.Assignment.Serial, 0
	phase := a.Phase
	if phase == proto.PhaseNone {
		phase = proto.PhaseCommitted
	}
	s.Deployment = proto.DeploymentStatus{
		ID: fmt.Sprintf("d%s", order.Assignment.Serial), Serial: s.Serial, Toplevel: order.Release.Toplevel,
		Revision: order.Release.Revision, Phase: phase, Verdict: phase.Verdict(), Started: s.Time, Since: s.Time,
	}
	ready := proto.Condition{Type: proto.ConditionReady, Status: proto.StatusTrue, Reason: proto.ReasonConverged}
	if phase == proto.PhaseCommitted {
		s.Systems = proto.Systems{
			Current: order.Release.Toplevel, Proven: order.Release.Toplevel, Profile: order.Release.Toplevel,
			Booted: order.Release.Toplevel, Revision: order.Release.Revision, Generation: s.Systems.Generation + 1,
		}
	} else {
		ready.Status, ready.Reason = proto.StatusFalse, proto.ReasonGaveUp
		s.Deployment.Reason, s.Deployment.Message = proto.ReasonUnitsFailed, "app.service failed"
		s.Deployment.Failed = []proto.FailedUnit{{Name: "app.service", Log: []string{"app: cannot listen"}}}
		if err := a.sendLog(ctx, host, s.Deployment); err != nil {
			return err
		}
	}
	s.Conditions = []proto.Condition{ready, {Type: proto.ConditionAccepted, Status: proto.StatusTrue}}
	if _, err := host.PublishEvent(ctx, proto.Event{
		ID: s.Deployment.ID, Host: a.Host, Time: s.Time, Deployment: s.Deployment.ID, Serial: s.Serial,
		Revision: s.Deployment.Revision, Toplevel: s.Deployment.Toplevel, Phase: phase,
		Reason: s.Deployment.Reason, Message: s.Deployment.Message, Failed: s.Deployment.Failed,
	}); err != nil {
		return err
	}
	return host.PublishStatus(ctx, *s)
}

// sendLog sends what the activations of d said, the way back cut short, all of it twice.
func (a *Agent) sendLog(ctx context.Context, host *bus.Host, d proto.DeploymentStatus) error {
	forward := proto.Log{
		Host: a.Host, Deployment: d.ID, Toplevel: d.Toplevel, Phase: proto.PhaseActivating, Mode: proto.ModeTest, Time: d.Started,
		Text: "warning: the following units failed: app.service\n\x1b[31mapp: cannot listen\n",
	}
	back := forward
	back.Phase, back.Time, back.Text, back.Cut = proto.PhaseRollingBack, d.Started.Add(time.Second), "starting app.service", true
	for _, l := range []proto.Log{forward, back, forward, back} {
		for _, part := range l.Split() {
			if err := host.PublishLog(ctx, part); err != nil {
				return err
			}
		}
	}
	return nil
}
