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
}
