package natsd_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"kedge/proto"
	"kedge/proto/bus"
)

func TestCallsAreAnswered(t *testing.T) {
	w := newWorld(t)
	control := connect(t, w.server.ClientURL(), "controller", w.server.ControllerCredentials())
	awaitConnected(t, control)
	service := bus.NewService(bus.ServiceOptions{Conn: control, Version: "0.0.1", Log: slog.New(slog.DiscardHandler)})
	callers := make(chan bus.Caller, 100)
	bus.Handle(service, proto.EndpointFleet, func(_ context.Context, caller bus.Caller, r proto.FleetRequest) (proto.FleetReply, error) {
		callers <- caller
		return proto.FleetReply{Version: r.After + 42}, nil
	})
	bus.Handle(service, proto.EndpointHost, func(_ context.Context, _ bus.Caller, r proto.HostRequest) (proto.HostReply, error) {
		return proto.HostReply{}, bus.Errorf(bus.CodeNotFound, "host %s is not known", r.Host)
	})
	bus.Handle(service, proto.EndpointEvents, func(_ context.Context, _ bus.Caller, r proto.EventsRequest) (proto.EventsReply, error) {
		e := event(t, "web1", 1)
		e.Message = strings.Repeat("long ", 1000)
		rep := proto.EventsReply{}
		for range r.Limit {
			rep.Events = append(rep.Events, proto.NumberedEvent{Seq: 1, Event: e})
		}
		return rep, nil
	})
	bus.Handle(service, proto.EndpointReconcile, func(context.Context, bus.Caller, proto.ReconcileRequest) (proto.ReconcileReply, error) {
		return proto.ReconcileReply{}, errors.New("two\nlines")
	})
	run(t, service.Run)

	eva := connect(t, w.server.ClientURL(), "cli", w.operatorFile(t, proto.RoleOperator, "Eva Öster"))
	awaitConnected(t, eva)
	callUntilAnswered(t, eva)

	t.Run("the service knows who calls", func(t *testing.T) {
		if got := receive(t, callers); got.Name != "Eva Öster" {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("an error has a code", func(t *testing.T) {
		_, err := bus.Call[proto.HostRequest, proto.HostReply](t.Context(), eva, proto.EndpointHost, proto.HostRequest{Host: hostName(t, "db9")})
		mustFail(t, err, bus.CodeNotFound, "host db9 is not known")
	})
	t.Run("an unforeseen error is internal", func(t *testing.T) {
		_, err := bus.Call[proto.ReconcileRequest, proto.ReconcileReply](t.Context(), eva, proto.EndpointReconcile, proto.ReconcileRequest{})
		mustFail(t, err, bus.CodeInternal, "two; lines")
	})
	t.Run("unknown fields are refused", func(t *testing.T) {
		_, err := bus.Call[map[string]int, proto.FleetReply](t.Context(), eva, proto.EndpointFleet, map[string]int{"befour": 1})
		mustFail(t, err, bus.CodeBadRequest, "befour")
	})
	t.Run("what cannot be parsed is refused", func(t *testing.T) {
		_, err := bus.Call[map[string]string, proto.HostReply](t.Context(), eva, proto.EndpointHost, map[string]string{"host": "a.>"})
		mustFail(t, err, bus.CodeBadRequest, "a.>")
	})
	t.Run("large requests are refused", func(t *testing.T) {
		_, err := bus.Call[string, proto.FleetReply](t.Context(), eva, proto.EndpointFleet, strings.Repeat("x", bus.MaxRequest))
		if !errors.Is(err, bus.ErrTooLarge) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("large answers arrive", func(t *testing.T) {
		rep, err := bus.Call[proto.EventsRequest, proto.EventsReply](t.Context(), eva, proto.EndpointEvents, proto.EventsRequest{Limit: 3000})
		if err != nil || len(rep.Events) != 3000 {
			t.Errorf("got %d events, %v", len(rep.Events), err)
		}
	})
	t.Run("a slow call does not hold up the next", func(t *testing.T) {
		for range 10 {
			callUntilAnswered(t, eva)
		}
	})
}

func TestSlowCallsRunSideBySideAndEndWithTheService(t *testing.T) {
	w := newWorld(t)
	control := connect(t, w.server.ClientURL(), "controller", w.server.ControllerCredentials())
	awaitConnected(t, control)
	service := bus.NewService(bus.ServiceOptions{Conn: control, Version: "0.0.1", Log: slog.New(slog.DiscardHandler)})
	began := make(chan struct{}, 2)
	bus.Handle(service, proto.EndpointFleet, func(ctx context.Context, _ bus.Caller, r proto.FleetRequest) (proto.FleetReply, error) {
		if r.After == 0 {
			return proto.FleetReply{Version: 42}, nil
		}
		began <- struct{}{}
		<-ctx.Done()
		return proto.FleetReply{}, bus.Errorf(bus.CodeUnavailable, "the controller stops")
	})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- service.Run(ctx) }()
	eva := connect(t, w.server.ClientURL(), "cli", w.operatorFile(t, proto.RoleViewer, "eva"))
	awaitConnected(t, eva)
	callUntilAnswered(t, eva)
	errs := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := bus.Call[proto.FleetRequest, proto.FleetReply](t.Context(), eva, proto.EndpointFleet, proto.FleetRequest{After: 1})
			errs <- err
		}()
	}
	receive(t, began)
	receive(t, began)
	stop()
	if err := receive(t, done); err != nil {
		t.Error(err)
	}
	for range 2 {
		mustFail(t, receive(t, errs), bus.CodeUnavailable, "stops")
	}
}

// mustFail fails the test unless err has the code and its text holds part.
func mustFail(t *testing.T, err error, code bus.Code, part string) {
	t.Helper()
	var known *bus.APIError
	if !errors.As(err, &known) || known.Code != code || !strings.Contains(known.Message, part) {
		t.Errorf("got %v, want code %s and a text with %q", err, code, part)
	}
}
