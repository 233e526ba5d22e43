package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"kedge/controller/internal/buildlog"
	"kedge/controller/internal/httpapi"
	"kedge/proto"
	"kedge/proto/bus"
)

// history is the hosts' events and logs, and their doorbells; see [bus.Fleet].
type history interface {
	Events(ctx context.Context, r proto.EventsRequest) (proto.EventsReply, error)
	HostLog(ctx context.Context, r proto.HostLogRequest) (proto.HostLogReply, error)
	Ring(ctx context.Context, host proto.HostName) error
	Audit(ctx context.Context, e proto.AuditEntry) error
	ReadAudit(ctx context.Context, r proto.AuditRequest) (proto.AuditReply, error)
}

// api answers the operators' calls. Which of them an operator may make was
// decided by the server: the role is part of the subject.
type api struct {
	fleet      *Fleet
	history    history
	trigger    func() // nil if nothing is built here
	identities *identities
	importer   *importer
	leases     *leases
	logs       *buildlog.Book
	keys       *keyAPI
	rollouts   *rollouts
	http       *httpapi.Handler
	metrics    *metrics
	now        func() time.Time
	log        *slog.Logger
}

// register makes s, and HTTP, answer every endpoint.
func (a *api) register(s *bus.Service) {
	handle(a, s, proto.EndpointFleet, a.fleetCall)
	handle(a, s, proto.EndpointHost, a.hostCall)
	handle(a, s, proto.EndpointEvents, a.eventsCall)
	handle(a, s, proto.EndpointHostLog, a.hostLogCall)
	handle(a, s, proto.EndpointBuildLog, a.buildLogCall)
	handle(a, s, proto.EndpointReconcile, a.reconcileCall)
	handle(a, s, proto.EndpointHostAdd, a.identities.add)
	handle(a, s, proto.EndpointHostRevoke, a.identities.revoke)
	handle(a, s, proto.EndpointHostToken, a.identities.token)
	handle(a, s, proto.EndpointOperatorAdd, a.identities.addOperator)
	handle(a, s, proto.EndpointOperatorToken, a.identities.addToken)
	handle(a, s, proto.EndpointOperatorList, a.identities.listOperators)
	handle(a, s, proto.EndpointOperatorRevoke, a.identities.revokeOperator)
	handle(a, s, proto.EndpointNATSConfig, a.identities.natsConfig)
	handle(a, s, proto.EndpointAudit, a.auditCall)
	handle(a, s, proto.EndpointPublish, a.publishCall)
	handle(a, s, proto.EndpointLeaseList, a.leases.list)
	handle(a, s, proto.EndpointLeaseFree, a.leases.free)
	a.keys.register(a, s)
	a.rollouts.register(a, s)
}

// handle makes s, and HTTP, answer the calls to e with h, and counts them.
func handle[Req, Rep any](a *api, s *bus.Service, e proto.Endpoint, h func(context.Context, bus.Caller, Req) (Rep, error)) {
	h = accounted(a, e, h)
	bus.Handle(s, e, h)
	httpapi.Handle(a.http, e, h)
}

// accounted returns h, such that it counts the calls to e by how they end. One that ended
// because ctx did is no fault of anybody's: the controller stops, or leads no more.
func accounted[Req, Rep any](a *api, e proto.Endpoint, h func(context.Context, bus.Caller, Req) (Rep, error)) func(context.Context, bus.Caller, Req) (Rep, error) {
	return func(ctx context.Context, c bus.Caller, req Req) (Rep, error) {
		rep, err := h(ctx, c, req)
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			err = bus.Errorf(bus.CodeUnavailable, "the controller stops: %v", err)
		}
		a.metrics.requests.WithLabelValues(e.Name(), requestResult(err)).Inc()
		return rep, err
	}
}

// requestOK is the result of a call that was answered as asked; the others are
// the codes of its refusal.
const requestOK = "ok"

func requestResults() []string {
	return []string{
		requestOK, string(bus.CodeBadRequest), string(bus.CodeNotFound), string(bus.CodeConflict),
		string(bus.CodeRefused), string(bus.CodeUnavailable), string(bus.CodeInternal),
	}
}

func requestResult(err error) string {
	var refusal *bus.APIError
	switch {
	case err == nil:
		return requestOK
	case errors.As(err, &refusal):
		return string(refusal.Code)
	}
	return string(bus.CodeInternal)
}

func (a *api) fleetCall(ctx context.Context, _ bus.Caller, req proto.FleetRequest) (proto.FleetReply, error) {
	if err := cmp.Or(inRange("limit", req.Limit, proto.MaxHosts), inRange("wait", req.Wait, proto.MaxWait)); err != nil {
		return proto.FleetReply{}, err
	}
	if req.After != 0 && req.Continue.IsZero() {
		ctx, cancel := context.WithTimeout(ctx, req.Wait)
		defer cancel()
		a.fleet.Await(ctx, req.After)
	}
	return a.fleet.Page(req.Continue, req.Limit)
}

func (a *api) hostCall(ctx context.Context, _ bus.Caller, req proto.HostRequest) (proto.HostReply, error) {
	if err := inRange("wait", req.Wait, proto.MaxWait); err != nil {
		return proto.HostReply{}, err
	}
	if req.After != 0 {
		ctx, cancel := context.WithTimeout(ctx, req.Wait)
		defer cancel()
		a.fleet.AwaitHost(ctx, req.Host, req.After)
	}
	r, known := a.fleet.Host(req.Host)
	if !known {
		return proto.HostReply{}, unknownHost(req.Host)
	}
	return r, nil
}

func (a *api) eventsCall(ctx context.Context, _ bus.Caller, req proto.EventsRequest) (proto.EventsReply, error) {
	if err := cmp.Or(inRange("limit", req.Limit, proto.MaxEvents), inRange("wait", req.Wait, proto.MaxWait)); err != nil {
		return proto.EventsReply{}, err
	}
	if _, known := a.fleet.Host(req.Host); !req.Host.IsZero() && !known {
		return proto.EventsReply{}, unknownHost(req.Host)
	}
	reply, err := a.history.Events(ctx, req)
	if err != nil {
		return reply, unavailable("read the history", err)
	}
	return reply, nil
}

// reconcileCall makes the pipeline look and the hosts' doorbells ring. It waits
// for neither: a hook that somebody's push waits for calls it.
func (a *api) reconcileCall(ctx context.Context, c bus.Caller, req proto.ReconcileRequest) (proto.ReconcileReply, error) {
	for _, h := range req.Hosts {
		if _, known := a.fleet.Host(h); !known {
			return proto.ReconcileReply{}, unknownHost(h)
		}
	}
	now := a.now().UTC()
	reply := proto.ReconcileReply{Sources: a.fleet.Sources(), Time: now}
	switch {
	case a.trigger != nil:
		a.trigger()
	case len(req.Hosts) == 0:
		return proto.ReconcileReply{}, bus.Errorf(bus.CodeRefused, "this controller builds nothing (keys.sign_releases): name hosts, to make them look at what they shall run")
	}
	for _, h := range req.Hosts {
		if err := a.history.Ring(ctx, h); err != nil {
			return proto.ReconcileReply{}, unavailable("ring the doorbell of "+h.String(), err)
		}
	}
	a.audit(ctx, proto.AuditEntry{Time: now, Actor: c.Name, Act: proto.ActReconcile, Message: hostNames(req.Hosts)})
	a.log.InfoContext(ctx, "asked to reconcile", "by", c.Name, "hosts", len(req.Hosts))
	return reply, nil
}

func (a *api) publishCall(ctx context.Context, c bus.Caller, req proto.PublishRequest) (proto.PublishReply, error) {
	published, err := a.importer.publish(ctx, c.Name, req.Targets)
	return proto.PublishReply{Published: published}, err
}

func (a *api) audit(ctx context.Context, e proto.AuditEntry) {
	if err := a.history.Audit(ctx, e); err != nil { // what was done is durable elsewhere
		a.log.WarnContext(ctx, "audit entry lost", "act", e.Act, "host", e.Host, "err", err)
	}
}

func (a *api) auditCall(ctx context.Context, _ bus.Caller, req proto.AuditRequest) (proto.AuditReply, error) {
	if err := inRange("limit", req.Limit, proto.MaxEntries); err != nil {
		return proto.AuditReply{}, err
	}
	reply, err := a.history.ReadAudit(ctx, req)
	if err != nil {
		return reply, unavailable("read the audit", err)
	}
	return reply, nil
}

// maxNamed is how many hosts an audit entry names, which has a limited size: what
// is too long to be stored would be done without a trace.
const maxNamed = 64

// hostNames joins the names of hosts.
func hostNames(hosts []proto.HostName) string {
	var names []string
	for _, h := range hosts[:min(len(hosts), maxNamed)] {
		names = append(names, h.String())
	}
	if more := len(hosts) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

// inRange refuses what a request has under a name if it is not from zero to most: nobody
// who asks for something is given less.
func inRange[T int | time.Duration](name string, got, most T) error {
	if got < 0 || got > most {
		return bus.Errorf(bus.CodeBadRequest, "%s: must be from %v to %v, got %v", name, T(0), most, got)
	}
	return nil
}

func unknownHost(h proto.HostName) error {
	return bus.Errorf(bus.CodeNotFound, "host %s is not known; see kedge host list", h)
}

// unavailable says that something cannot be done now, where that is so.
func unavailable(what string, err error) error {
	if bus.Transient(err) || errors.Is(err, bus.ErrConflict) {
		return bus.Errorf(bus.CodeUnavailable, "%s: %v", what, err)
	}
	return err
}
