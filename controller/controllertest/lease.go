package controllertest

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"kedge/proto"
	"kedge/proto/bus"
	"kedge/proto/outbound"
)

// AcquireLease asks for a reboot lease as host, until a controller answers or ctx
// ends.
func AcquireLease(ctx context.Context, server string, out outbound.Options, host proto.HostName, credentials, deployment string) (proto.LeaseReply, error) {
	conn, err := bus.Connect(ctx, bus.Options{
		Servers: []string{server}, Outbound: out, Name: host.String(), Credentials: credentials, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return proto.LeaseReply{}, err
	}
	defer conn.Close()
	if err := conn.AwaitConnected(ctx); err != nil {
		return proto.LeaseReply{}, err
	}
	h := bus.NewHost(conn, host)
	defer h.Close()
	return AwaitLease(ctx, h, deployment)
}

// AwaitLease asks h for a lease until a controller answers or ctx ends: one that
// has just started may not do so yet.
func AwaitLease(ctx context.Context, h *bus.Host, deployment string) (proto.LeaseReply, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		r, err := h.AcquireLease(ctx, deployment)
		if !errors.Is(err, bus.ErrNoController) {
			return r, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return r, err
		}
	}
}
