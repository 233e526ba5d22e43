package bus

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"

	"kedge/proto"
)

// PublishStatus replaces the host's status and returns when it is stored.
func (h *Host) PublishStatus(ctx context.Context, s proto.Status) error {
	b, err := s.Encode()
	if err != nil {
		return err
	}
	_, err = h.store(ctx, "status", proto.StatusSubject(h.name), b)
	return err
}

// PublishEvent adds e to the history and returns when it is stored, with its
// place there. After an error it may be stored or not; publishing it again is
// harmless.
func (h *Host) PublishEvent(ctx context.Context, e proto.Event) (uint64, error) {
	b, err := e.Encode()
	if err != nil {
		return 0, err
	}
	return h.store(ctx, "event", proto.EventSubject(h.name), b)
}

// PublishLog adds l to the logs and returns when it is stored. After an error it may be
// stored or not; publishing it again is harmless.
func (h *Host) PublishLog(ctx context.Context, l proto.Log) error {
	b, err := l.Encode()
	if err != nil {
		return err
	}
	_, err = h.store(ctx, "log", proto.LogSubject(h.name), b)
	return err
}

// store publishes data and waits for the stream's acknowledgement.
func (h *Host) store(ctx context.Context, what, subject string, data []byte) (uint64, error) {
	m := nats.NewMsg(subject)
	m.Data = data
	reply, err := h.conn.request(ctx, m, requestTimeout)
	if err != nil {
		return 0, fmt.Errorf("publish %s: %w", what, err)
	}
	seq, err := parseAck(reply)
	if err != nil {
		return 0, fmt.Errorf("publish %s: %w", what, err)
	}
	return seq, nil
}

// Heartbeat says that the host lives. Nobody confirms it: the error says only
// that it could not be sent.
func (h *Host) Heartbeat(ctx context.Context, hb proto.Heartbeat) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("heartbeat: %w", err)
	}
	b, err := hb.Encode()
	if err != nil {
		return err
	}
	m := nats.NewMsg(proto.HeartbeatSubject(h.name))
	m.Data = b
	if err := h.conn.publish(m); err != nil {
		return fmt.Errorf("heartbeat: %w", err)
	}
	return nil
}
