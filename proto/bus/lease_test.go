package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"kedge/proto"
)

// lets is a Lessor that grants, and says for what in the message.
func lets(_ context.Context, _ proto.HostName, r proto.LeaseRequest) (proto.LeaseReply, error) {
	return proto.LeaseReply{Granted: r.Action == proto.LeaseAcquire, Message: r.Deployment}, nil
}

// serveLeases runs a service with answer until the test ends.
func serveLeases(t *testing.T, url string, answer Lessor) {
	t.Helper()
	c := open(t, url)
	await(t, c, func(s State) bool { return s.Connected })
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- NewFleet(c, slog.New(slog.DiscardHandler)).Leases(ctx, answer) }()
	t.Cleanup(func() {
		stop()
		if err := receive(t, done); err != nil {
			t.Error(err)
		}
	})
}

// leaser returns the view of a host that is connected.
func leaser(t *testing.T, url, name string) *Host {
	t.Helper()
	c := open(t, url)
	await(t, c, func(s State) bool { return s.Connected })
	h := NewHost(c, hostName(t, name))
	t.Cleanup(h.Close)
	return h
}

// acquireFromSomebody asks for a lease until somebody answers.
func acquireFromSomebody(t *testing.T, h *Host, deployment string) (proto.LeaseReply, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		r, err := h.AcquireLease(ctx, deployment)
		if !errors.Is(err, ErrNoController) || !wait(ctx, 10*time.Millisecond) {
			return r, err
		}
	}
}

func TestALeaseIsAskedForAndGivenBack(t *testing.T) {
	url := startServer(t)
	web1 := leaser(t, url, "web1")
	type call struct {
		host proto.HostName
		proto.LeaseRequest
	}
	calls := make(chan call, 10)
	serveLeases(t, url, func(ctx context.Context, h proto.HostName, r proto.LeaseRequest) (proto.LeaseReply, error) {
		calls <- call{h, r}
		return lets(ctx, h, r)
	})
	if r, err := acquireFromSomebody(t, web1, "7-1"); err != nil || !r.Granted || r.Message != "7-1" {
		t.Errorf("got %+v, %v", r, err)
	}
	if err := web1.ReleaseLease(t.Context(), "7-1"); err != nil {
		t.Error(err)
	}
	for _, action := range []proto.LeaseAction{proto.LeaseAcquire, proto.LeaseRelease} {
		want := call{hostName(t, "web1"), proto.LeaseRequest{Format: proto.Format1, Action: action, Deployment: "7-1"}}
		if got := receive(t, calls); got != want {
			t.Errorf("the service was asked %+v, want %+v", got, want)
		}
	}
}

func TestWhereNoControllerAnswersTheErrorSaysSo(t *testing.T) {
	url := startServer(t)
	web1 := leaser(t, url, "web1")
	_, err := web1.AcquireLease(t.Context(), "7-1")
	if !errors.Is(err, ErrNoController) || !errors.Is(err, ErrNoResponders) {
		t.Errorf("nobody there: got %v", err)
	}
	if err := web1.ReleaseLease(t.Context(), "7-1"); !errors.Is(err, ErrNoController) {
		t.Errorf("nobody there, release: got %v", err)
	}
	respond(t, rawClient(t, url), proto.AllLeases, func(*nats.Msg) {})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := web1.AcquireLease(ctx, "7-1"); !errors.Is(err, ErrNoController) || !errors.Is(err, ErrTimeout) {
		t.Errorf("nobody answers: got %v", err)
	}
	web1.conn.Close()
	if _, err := web1.AcquireLease(t.Context(), "7-1"); !errors.Is(err, ErrNoController) || !errors.Is(err, ErrNotConnected) {
		t.Errorf("not connected: got %v", err)
	}
}

func TestAControllerThatCannotDecideSaysWhy(t *testing.T) {
	url := startServer(t)
	web1, web2 := leaser(t, url, "web1"), leaser(t, url, "web2")
	serveLeases(t, url, func(_ context.Context, h proto.HostName, _ proto.LeaseRequest) (proto.LeaseReply, error) {
		if h.String() == "web1" {
			return proto.LeaseReply{}, Errorf(CodeUnavailable, "NATS is away")
		}
		return proto.LeaseReply{}, errors.New("two\nlines")
	})
	_, err := acquireFromSomebody(t, web1, "7-1")
	mustFail(t, err, CodeUnavailable, "NATS is away")
	_, err = web2.AcquireLease(t.Context(), "7-1")
	mustFail(t, err, CodeInternal, "two; lines")
	_, err = web2.AcquireLease(t.Context(), strings.Repeat("x", proto.MaxLeaseDeployment+1))
	mustFail(t, err, CodeBadRequest, "deployment has 257 bytes")
}

func TestAHostThatAsksAllTheTimeKeepsNobodyWaiting(t *testing.T) {
	const flood = 20_000
	url := startServer(t)
	began, end := make(chan struct{}, 2), make(chan struct{})
	serveLeases(t, url, func(ctx context.Context, h proto.HostName, r proto.LeaseRequest) (proto.LeaseReply, error) {
		if h.String() == "web1" && r.Deployment == "slow" {
			began <- struct{}{}
			<-end
		}
		return lets(ctx, h, r)
	})
	web1, web2 := leaser(t, url, "web1"), leaser(t, url, "web2")
	if _, err := acquireFromSomebody(t, web1, "first"); err != nil {
		t.Fatal(err)
	}
	flooder := rawClient(t, url)
	answers := make(chan *nats.Msg, flood)
	respond(t, flooder, "answers", func(m *nats.Msg) { answers <- m })
	for range flood {
		if err := flooder.PublishRequest(proto.LeaseSubject(web1.name), "answers", []byte(`{"format":1,"action":"acquire","deployment":"slow"}`)); err != nil {
			t.Fatal(err)
		}
	}
	receive(t, began)
	if r, err := web2.AcquireLease(t.Context(), "7-1"); err != nil || !r.Granted {
		t.Errorf("another host: got %+v, %v", r, err)
	}
	for range flood - 1 { // each is answered, so that the server keeps no way back for it
		if err := reported(receive(t, answers)); err == nil {
			t.Fatal("a second request of web1 was let in")
		}
	}
	if len(began) > 0 {
		t.Error("a second request of web1 was let in")
	}
	close(end)
	if err := reported(receive(t, answers)); err != nil {
		t.Errorf("the request that was under way: got %v", err)
	}
}

func TestAHostMayAskAgainAsSoonAsItIsAnswered(t *testing.T) {
	url := startServer(t)
	serveLeases(t, url, lets)
	for host := range 20 {
		h := leaser(t, url, fmt.Sprintf("web%d", host))
		if _, err := acquireFromSomebody(t, h, "1"); err != nil {
			t.Fatal(err)
		}
		for range turnstileRequests - 1 {
			if _, err := h.AcquireLease(t.Context(), "1"); err != nil {
				t.Fatal(err)
			}
		}
		_, err := h.AcquireLease(t.Context(), "1")
		mustFail(t, err, CodeUnavailable, "made 20 requests within 1m0s")
	}
}

func TestWhoWaitsForNoAnswerIsNotServed(t *testing.T) {
	url := startServer(t)
	asked := make(chan proto.LeaseRequest, 10)
	serveLeases(t, url, func(ctx context.Context, h proto.HostName, r proto.LeaseRequest) (proto.LeaseReply, error) {
		asked <- r
		return lets(ctx, h, r)
	})
	web1 := leaser(t, url, "web1")
	if _, err := acquireFromSomebody(t, web1, "one"); err != nil {
		t.Fatal(err)
	}
	nc := rawClient(t, url)
	if err := nc.Publish(proto.LeaseSubject(web1.name), []byte(`{"format":1,"action":"acquire","deployment":"two"}`)); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := web1.AcquireLease(t.Context(), "three"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"one", "three"} {
		if got := receive(t, asked); got.Deployment != want {
			t.Errorf("asked for %q, want %q", got.Deployment, want)
		}
	}
}

// mustFail fails the test unless err has the code and its text holds part.
func mustFail(t *testing.T, err error, code Code, part string) {
	t.Helper()
	known, ok := errors.AsType[*APIError](err)
	if !ok || known.Code != code || !strings.Contains(known.Message, part) {
		t.Errorf("got %v, want code %s and a text with %q", err, code, part)
	}
}
