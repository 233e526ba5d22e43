package controller

import (
	"context"
	"errors"

	"kedge/proto"
	"kedge/proto/bus"
)

// hostLogCall answers with what the activations of a deployment said on its host.
func (a *api) hostLogCall(ctx context.Context, _ bus.Caller, req proto.HostLogRequest) (proto.HostLogReply, error) {
	if _, known := a.fleet.Host(req.Host); !known {
		return proto.HostLogReply{}, unknownHost(req.Host)
	}
	reply, err := a.history.HostLog(ctx, req)
	switch {
	case errors.Is(err, bus.ErrNotFound) && req.Deployment != "":
		return reply, bus.Errorf(bus.CodeNotFound, "no log of deployment %q is kept of host %s; see kedge events --host %s for its deployments", req.Deployment, req.Host, req.Host)
	case errors.Is(err, bus.ErrNotFound):
		return reply, bus.Errorf(bus.CodeNotFound,
			"no log is kept of host %s: a host sends it when a deployment has ended, and it is kept for 14 days; kedge-agent logs on the host may have more", req.Host)
	case err != nil:
		return reply, unavailable("read the log of "+req.Host.String(), err)
	}
	return reply, nil
}
