package bus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"kedge/proto"
)

func TestAConnectionThatNATSGaveUpOnIsBuiltAnew(t *testing.T) {
	url := startServer(t)
	p := startProxy(t, url)
	c := open(t, "nats://"+p.address())
	h := NewHost(c, hostName(t, "web1"))
	awaitRing(t, h)
	for round := range uint64(3) {
		// An error of authentication that makes nats.go close the connection
		// for ever.
		p.inject(t, "-ERR 'Authentication Timeout'\r\n")
		await(t, c, func(s State) bool { return s.Connected && s.Connects == round+2 })
		awaitRing(t, h)
		if err := h.Heartbeat(t.Context(), proto.Heartbeat{Host: hostName(t, "web1"), Time: time.Now()}); err != nil {
			t.Error(err)
		}
	}
	h.Close()
}

func TestRequestsEndWithTheConnection(t *testing.T) {
	url := startServer(t)
	p := startProxy(t, url)
	c := open(t, "nats://"+p.address())
	other := rawClient(t, url)
	asked := make(chan struct{}, 1)
	respond(t, other, proto.StatusSubject(hostName(t, "web1")), func(*nats.Msg) { asked <- struct{}{} })
	await(t, c, func(s State) bool { return s.Connected })
	h := NewHost(c, hostName(t, "web1"))
	done := make(chan error, 1)
	go func() {
		done <- h.PublishStatus(t.Context(), proto.Status{Host: hostName(t, "web1"), Time: time.Now()})
	}()
	receive(t, asked)
	p.cut()
	if err := receive(t, done); !errors.Is(err, ErrNotConnected) {
		t.Errorf("got %v, want %v", err, ErrNotConnected)
	}
}

func TestNothingWaitsForAServerThatSaysNothing(t *testing.T) {
	leakFree(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 10)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- conn
		}
	}()
	c, err := Connect(t.Context(), options(t, "nats://"+l.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	conn := receive(t, accepted)
	defer conn.Close()
	started := time.Now()
	h := NewHost(c, hostName(t, "web1"))
	if _, err := h.Desired(t.Context()); !errors.Is(err, ErrNotConnected) {
		t.Errorf("got %v, want %v", err, ErrNotConnected)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := c.AwaitConnected(ctx); !errors.Is(err, ErrNotConnected) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	h.Close()
	c.Close()
	if took := time.Since(started); took > defaultTimeout/2 {
		t.Errorf("it took %v", took)
	}
	if err := c.AwaitConnected(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: got %v, want %v", err, ErrClosed)
	}
}

func TestDesiredWaitsForWhatTheDoorbellAnnounced(t *testing.T) {
	url := startServer(t)
	controller := rawClient(t, url)
	c := open(t, url)
	name := hostName(t, "web1")
	var seq atomic.Uint64 // what the server has
	var asked atomic.Uint64
	seq.Store(1)
	respond(t, controller, proto.GetDesiredSubject(name), func(m *nats.Msg) {
		if asked.Add(1) == 3 {
			seq.Store(2)
		}
		answer := nats.NewMsg(m.Reply)
		answer.Header.Set("Nats-Sequence", strconv.FormatUint(seq.Load(), 10))
		answer.Data = fmt.Append(nil, seq.Load())
		if err := m.RespondMsg(answer); err != nil {
			t.Error(err)
		}
	})
	h := NewHost(c, name)
	awaitRing(t, h)
	if r, err := h.Desired(t.Context()); err != nil || r.Seq != 1 {
		t.Fatalf("got %v, %v", r, err)
	}
	ring(t, controller, name, proto.DesiredKeySubject(name), 2)
	awaitRing(t, h)
	if r, err := h.Desired(t.Context()); err != nil || r.Seq != 2 || string(r.Data) != "2" {
		t.Errorf("after a doorbell with 2: got %v, %v", r, err)
	}
	if asked.Load() != 3 {
		t.Errorf("asked %d times, want 3", asked.Load())
	}

	// Announced, but never there: it is not waited for twice.
	h.patience = 100 * time.Millisecond
	ring(t, controller, name, proto.DesiredKeySubject(name), 1000)
	awaitRing(t, h)
	if r, err := h.Desired(t.Context()); err != nil || r.Seq != 2 {
		t.Errorf("after a doorbell that lied: got %v, %v", r, err)
	}
	before := asked.Load()
	if r, err := h.Desired(t.Context()); err != nil || r.Seq != 2 || asked.Load() != before+1 {
		t.Errorf("after that: got %v, %v, asked %d times", r, err, asked.Load()-before)
	}

	// Said of another key, or of none: there is nothing to wait for.
	for _, key := range []string{proto.DesiredKeySubject(hostName(t, "web2")), ""} {
		ring(t, controller, name, key, 1000)
		awaitRing(t, h)
		before := asked.Load()
		if r, err := h.Desired(t.Context()); err != nil || r.Seq != 2 || asked.Load() != before+1 {
			t.Errorf("after a doorbell about key %q: got %v, %v, asked %d times", key, r, err, asked.Load()-before)
		}
	}
}

func TestNoAnswerInTimeIsTransient(t *testing.T) {
	url := startServer(t)
	respond(t, rawClient(t, url), proto.EndpointFleet.Subject(), func(*nats.Msg) {}) // the answer is lost
	c := open(t, url)
	await(t, c, func(s State) bool { return s.Connected })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := Call[proto.FleetRequest, proto.FleetReply](ctx, c, proto.EndpointFleet, proto.FleetRequest{})
	if !errors.Is(err, ErrTimeout) || !Transient(err) {
		t.Errorf("got %v, want %v", err, ErrTimeout)
	}
}

func TestWhatNobodyAnswersIsKnownAtOnce(t *testing.T) {
	c := open(t, startServer(t))
	await(t, c, func(s State) bool { return s.Connected })
	h := NewHost(c, hostName(t, "web1"))
	if _, err := h.Desired(t.Context()); !errors.Is(err, ErrNoResponders) {
		t.Errorf("got %v, want %v", err, ErrNoResponders)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Desired(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestAcknowledgements(t *testing.T) {
	for _, test := range []struct {
		name, data string
		want       uint64
		err        error
	}{
		{"stored", `{"stream":"X","seq":7}`, 7, nil},
		{"too large", `{"error":{"code":400,"err_code":10054,"description":"message size exceeds maximum allowed"}}`, 0, ErrTooLarge},
		{"refused", `{"error":{"code":503,"err_code":10077,"description":"no space"}}`, 0, errAny},
		{"empty", `{}`, 0, errAny},
		{"nonsense", `x`, 0, errAny},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseAck(&nats.Msg{Data: []byte(test.data)})
			if got != test.want || (err == nil) != (test.err == nil) || test.err != nil && !errors.Is(test.err, errAny) && !errors.Is(err, test.err) {
				t.Errorf("parseAck(%s) = %d, %v, want %d, %v", test.data, got, err, test.want, test.err)
			}
		})
	}
}

var errAny = errors.New("any error")
