package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"kedge/proto"
)

// A Host is what one host may do: read its own desired state, hear its
// doorbell, and speak for itself. It makes no JetStream call, no consumer and
// no watcher: the server keeps nothing for a host but its connection. All
// methods are safe for concurrent use.
type Host struct {
	conn   *Conn
	name   proto.HostName
	bell   chan struct{}
	newest atomic.Uint64 // the highest sequence number that the doorbell said
	hook   *hook

	patience time.Duration // for a desired state that was announced
}

// NewHost returns the view of host name over c, whose credentials must be that
// host's.
func NewHost(c *Conn, name proto.HostName) *Host {
	h := &Host{conn: c, name: name, bell: make(chan struct{}, 1), patience: desiredPatience}
	h.hook = &hook{attach: h.attach, connected: h.connected}
	c.hook(h.hook)
	return h
}

// Close forgets h. The server goes on ringing until the connection is closed.
func (h *Host) Close() { h.conn.unhook(h.hook) }

// Doorbell returns the channel that says: look at [Host.Desired] now. It is
// rung by a change, by a controller that wants to be heard, and at every
// connection. Several rings that nobody heard are one.
func (h *Host) Doorbell() <-chan struct{} { return h.bell }

// Time to wait for a desired state that was announced: the answer may come
// from a replica that is behind.
const (
	desiredPatience = 5 * time.Second
	desiredPause    = 50 * time.Millisecond
	desiredMaxPause = time.Second
)

// Desired returns the host's desired state, unverified. If the doorbell
// announced a newer one than the server has, it waits for that for a few
// seconds; a stale one is not an error. Errors wrap [ErrNoDesired] if there is
// none.
func (h *Host) Desired(ctx context.Context) (Raw, error) {
	deadline := time.Now().Add(h.patience)
	pause := Backoff{Base: desiredPause, Cap: desiredMaxPause}
	for attempt := 1; ; attempt++ {
		announced := h.newest.Load()
		r, err := h.get(ctx)
		if err != nil && !errors.Is(err, ErrNoDesired) {
			return Raw{}, fmt.Errorf("desired state of %s: %w", h.name, err)
		}
		if err == nil && r.Seq >= announced {
			return r, nil
		}
		if announced == 0 || time.Now().After(deadline) {
			// What was announced does not exist: the stream was made anew. Do
			// not wait for it again.
			h.newest.CompareAndSwap(announced, 0)
			if err != nil {
				return Raw{}, fmt.Errorf("desired state of %s: %w", h.name, err)
			}
			return r, nil
		}
		if !wait(ctx, pause.delay(attempt)) {
			return Raw{}, fmt.Errorf("desired state of %s: %w", h.name, translate(ctx.Err()))
		}
	}
}

// get asks for the desired state once.
func (h *Host) get(ctx context.Context) (Raw, error) {
	m, err := h.conn.request(ctx, nats.NewMsg(proto.GetDesiredSubject(h.name)), requestTimeout)
	if err != nil {
		return Raw{}, err
	}
	r, err := directGet(m)
	switch {
	case errors.Is(err, ErrNotFound):
		return Raw{}, ErrNoDesired
	case err != nil:
		return Raw{}, err
	case len(r.Data) > proto.MaxDesired:
		return Raw{}, fmt.Errorf("%w: %d bytes, at most %d are read", ErrTooLarge, len(r.Data), proto.MaxDesired)
	}
	return r, nil
}

// attach subscribes to the doorbell on a new nats.Conn.
func (h *Host) attach(nc *nats.Conn) {
	// This fails only if nc is closed already: then the next one follows.
	_, _ = nc.Subscribe(proto.DoorbellSubject(h.name), func(m *nats.Msg) {
		h.announce(announced(m, h.name))
		h.ring()
	})
}

// announced returns the sequence number that m, which rang the doorbell of
// host, says that its desired state has now; zero if it says none. NATS does
// not check reply subjects: another host can have what the server answers it
// delivered here, but not an answer about a key that is not its own.
func announced(m *nats.Msg, host proto.HostName) uint64 {
	if m.Header.Get(jetstream.SubjectHeader) != proto.DesiredKeySubject(host) {
		return 0
	}
	seq, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return 0
	}
	return seq
}

// connected forgets what the server said before, which may have lost its
// memory since, and rings.
func (h *Host) connected() {
	h.newest.Store(0)
	h.ring()
}

// announce raises newest to seq.
func (h *Host) announce(seq uint64) {
	for {
		old := h.newest.Load()
		if seq <= old || h.newest.CompareAndSwap(old, seq) {
			return
		}
	}
}

func (h *Host) ring() {
	select {
	case h.bell <- struct{}{}:
	default:
	}
}
