package controllertest

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"kedge/proto"
	"kedge/proto/bus"
)

// awaitTimeout is longer than anything here takes on a machine that is busy.
const awaitTimeout = 30 * time.Second

// AwaitHost waits until a host is as ok says.
func (r *Running) AwaitHost(ctx context.Context, host proto.HostName, ok func(proto.HostView) bool) error {
	return r.await(ctx, func(ctx context.Context, conn *bus.Conn) error {
		var last proto.HostReply
		for {
			reply, err := bus.Call[proto.HostRequest, proto.HostReply](ctx, conn, proto.EndpointHost, proto.HostRequest{Host: host, After: last.Version, Wait: proto.MaxWait})
			if err != nil {
				return fmt.Errorf("await %s, which was %+v: %w", host, last.Host, err)
			}
			if last = reply; ok(reply.Host) {
				return nil
			}
		}
	})
}

// AwaitRollout waits until [Channel] has a rollout that is as ok says.
func (r *Running) AwaitRollout(ctx context.Context, ok func(proto.RolloutShowReply) bool) error {
	return r.await(ctx, func(ctx context.Context, conn *bus.Conn) error {
		if err := begun(ctx, conn); err != nil {
			return err
		}
		var last proto.RolloutShowReply
		for {
			reply, err := bus.Call[proto.RolloutShowRequest, proto.RolloutShowReply](ctx, conn, proto.EndpointRolloutShow,
				proto.RolloutShowRequest{Rollout: Channel, After: last.Version, Wait: proto.MaxWait})
			if err != nil {
				return fmt.Errorf("await the rollout, which was %+v: %w", last.Rollout, err)
			}
			if last = reply; ok(reply) {
				return nil
			}
		}
	})
}

// begun waits until there is a rollout.
func begun(ctx context.Context, conn *bus.Conn) error {
	for after := uint64(0); ; {
		fleet, err := bus.Call[proto.FleetRequest, proto.FleetReply](ctx, conn, proto.EndpointFleet, proto.FleetRequest{After: after, Wait: proto.MaxWait, Limit: 1})
		if err != nil {
			return fmt.Errorf("await a rollout: %w", err)
		}
		if after = fleet.Version; len(fleet.Rollouts) > 0 {
			return nil
		}
	}
}

// await runs look with a connection of the administrator, and a deadline.
func (r *Running) await(ctx context.Context, look func(context.Context, *bus.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, awaitTimeout)
	defer cancel()
	conn, err := bus.Connect(ctx, bus.Options{
		Servers: []string{r.NATSURL()}, Name: "await", Credentials: r.AdminCredentials(), Outbound: r.Outbound(), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.AwaitConnected(ctx); err != nil {
		return err
	}
	return look(ctx, conn)
}
