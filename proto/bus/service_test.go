package bus

import (
	"context"
	"errors"
	"log/slog"
	"strings"
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
			err := decodeRequest([]byte(test.body), &r)
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

func TestErrorsFitIntoAHeader(t *testing.T) {
	for in, want := range map[string]string{"": "unknown error", "a": "a", "a\nb\r\n\nc\n": "a; b; c", "\n": "unknown error"} {
		if got := oneLine(in); got != want {
			t.Errorf("oneLine(%q) = %q, want %q", in, got, want)
		}
	}
}
