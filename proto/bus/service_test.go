package bus

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kedge/proto"
)

func TestAServiceGoesOnOverAConnectionBuiltAnew(t *testing.T) {
	url := startServer(t)
	p := startProxy(t, url)
	c := open(t, "nats://"+p.address())
	s := NewService(ServiceOptions{Conn: c, Version: "0.0.1", Log: slog.New(slog.DiscardHandler)})
	Handle(s, proto.EndpointFleet, func(context.Context, Caller, proto.FleetRequest) (proto.FleetReply, error) {
		return proto.FleetReply{Version: 42}, nil
	})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	cli := open(t, url)
	await(t, cli, func(s State) bool { return s.Connected })
	for range 3 {
		callUntilAnswered(t, cli)
		before := c.State().Connects
		p.inject(t, "-ERR 'Authentication Timeout'\r\n")
		await(t, c, func(s State) bool { return s.Connected && s.Connects > before })
	}
	callUntilAnswered(t, cli)
	stop()
	if err := receive(t, done); err != nil {
		t.Error(err)
	}
}

func TestViewersWhoWaitDoNotKeepAdminsOut(t *testing.T) {
	url := startServer(t)
	c := open(t, url)
	serving := make(chan struct{}, 1)
	s := NewService(ServiceOptions{Conn: c, Version: "0.0.1", Log: slog.New(slog.DiscardHandler), Serving: func() { serving <- struct{}{} }})
	began := make(chan struct{}, maxCalls)
	Handle(s, proto.EndpointFleet, func(ctx context.Context, _ Caller, _ proto.FleetRequest) (proto.FleetReply, error) {
		began <- struct{}{}
		<-ctx.Done()
		return proto.FleetReply{}, nil
	})
	Handle(s, proto.EndpointPublish, func(context.Context, Caller, proto.PublishRequest) (proto.PublishReply, error) {
		return proto.PublishReply{}, nil
	})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	receive(t, serving)
	viewer := rawClient(t, url)
	for range maxCalls {
		if err := viewer.PublishRequest(proto.EndpointFleet.Subject(), "nowhere", []byte(`{}`)); err != nil {
			t.Fatal(err)
		}
	}
	for range maxCalls {
		receive(t, began)
	}
	cli := open(t, url)
	await(t, cli, func(s State) bool { return s.Connected })
	_, err := Call[proto.FleetRequest, proto.FleetReply](t.Context(), cli, proto.EndpointFleet, proto.FleetRequest{})
	var known *APIError
	if !errors.As(err, &known) || known.Code != CodeUnavailable || !known.Unbegun {
		t.Errorf("one viewer more: got %#v, want code %s, and that nothing was begun", err, CodeUnavailable)
	}
	if _, err := Call[proto.PublishRequest, proto.PublishReply](t.Context(), cli, proto.EndpointPublish, proto.PublishRequest{}); err != nil {
		t.Errorf("an admin: got %v", err)
	}
	stop()
	if err := receive(t, done); err != nil {
		t.Error(err)
	}
}

// A client that does not wait for answers keeps more calls coming than begin
// while the service stops.
func TestNoCallBeginsOnceTheServiceHasStopped(t *testing.T) {
	const calls = 20_000
	url := startServer(t)
	c := open(t, url)
	serving := make(chan struct{}, 1)
	s := NewService(ServiceOptions{Conn: c, Version: "0.0.1", Log: slog.New(slog.DiscardHandler), Serving: func() { serving <- struct{}{} }})
	var stopped atomic.Bool
	var late atomic.Int64
	began := make(chan struct{}, calls)
	Handle(s, proto.EndpointFleet, func(context.Context, Caller, proto.FleetRequest) (proto.FleetReply, error) {
		if stopped.Load() {
			late.Add(1)
		}
		began <- struct{}{}
		return proto.FleetReply{}, nil
	})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		err := s.Run(ctx)
		stopped.Store(true)
		done <- err
	}()
	receive(t, serving)
	spammer := rawClient(t, url)
	for range calls {
		if err := spammer.PublishRequest(proto.EndpointFleet.Subject(), "nowhere", []byte(`{}`)); err != nil {
			t.Fatal(err)
		}
	}
	receive(t, began)
	stop()
	if err := receive(t, done); err != nil {
		t.Error(err)
	}
	c.Close() // when what had come was dealt with
	if late.Load() != 0 {
		t.Errorf("%d calls began after the service had stopped", late.Load())
	}
}

// callUntilAnswered asks for the fleet until somebody answers.
func callUntilAnswered(t *testing.T, c *Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		rep, err := Call[proto.FleetRequest, proto.FleetReply](ctx, c, proto.EndpointFleet, proto.FleetRequest{})
		if err == nil && rep.Version == 42 {
			return
		}
		if err == nil || !errors.Is(err, ErrNoResponders) || !wait(ctx, 10*time.Millisecond) {
			t.Fatalf("got %v, %v", rep, err)
		}
	}
}

func TestRequestsAreStrict(t *testing.T) {
	for _, test := range []struct {
		name, body string
		ok         bool
	}{
		{"an empty object", `{}`, true},
		{"every field", `{"after":1,"wait":5}`, true},
		{"nothing", ``, false},
		{"an unknown field", `{"after":1,"befour":2}`, false},
		{"two values", `{} {}`, false},
		{"something after it", `{} x`, false},
		{"a wrong type", `{"after":"1"}`, false},
		{"too much", `{"after":1` + strings.Repeat(" ", MaxRequest) + `}`, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var r proto.FleetRequest
			err := DecodeRequest([]byte(test.body), &r)
			if test.ok != (err == nil) {
				t.Fatalf("got %v", err)
			}
			var known *APIError
			if !test.ok && (!errors.As(err, &known) || known.Code != CodeBadRequest) {
				t.Errorf("got %v, want code %s", err, CodeBadRequest)
			}
		})
	}
}

func TestAFailureIsReportedWhole(t *testing.T) {
	for _, e := range []*APIError{Errorf(CodeUnavailable, "read the history: no answer in time"), unbegun("the controller stops")} {
		got := reported(e.answer("inbox"))
		if known, ok := errors.AsType[*APIError](got); !ok || *known != *e {
			t.Errorf("got %#v, want %#v", got, e)
		}
	}
}

func TestErrorsFitIntoAHeader(t *testing.T) {
	for in, want := range map[string]string{"": "unknown error", "a": "a", "a\nb\r\n\nc\n": "a; b; c", "\n": "unknown error"} {
		if got := oneLine(in); got != want {
			t.Errorf("oneLine(%q) = %q, want %q", in, got, want)
		}
	}
}

// A request is taken whole, or refused as a bad one.
func FuzzDecodeRequest(f *testing.F) {
	for _, s := range []string{`{"targets":[{"host":"web1","toplevel":"/nix/store/00000000000000000000000000000000-x"}]}`, `{}`, `{}{}`, `[]`, `null`, `{"target":1}`, ``} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r proto.PublishRequest
		err := DecodeRequest(b, &r)
		if known, is := errors.AsType[*APIError](err); err != nil && (!is || known.Code != CodeBadRequest) {
			t.Errorf("%q: got error %v", b, err)
		}
		if err == nil && !json.Valid(b) {
			t.Errorf("%q: taken as %+v", b, r)
		}
	})
}
