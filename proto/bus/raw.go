package bus

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Raw is a stored message as it is, unverified.
type Raw struct {
	Data []byte
	// Seq is its place in its stream. It tells one version from another and
	// says nothing about which is to be believed: the stream may be made anew.
	Seq uint64
	// Time is when it was stored, where [Fleet.GetControl] or [Fleet.NextControl]
	// returned it: with Seq it tells one stream from another.
	Time time.Time
}

// kvOperation marks a message of a bucket that stands for a deletion.
const kvOperation = "KV-Operation"

// directGet returns what the answer m to a Direct Get holds. Errors wrap
// [ErrNotFound].
func directGet(m *nats.Msg) (Raw, error) {
	switch status := m.Header.Get("Status"); status {
	case "":
	case "404":
		return Raw{}, ErrNotFound
	default:
		return Raw{}, fmt.Errorf("status %s: %s", status, m.Header.Get("Description"))
	}
	if m.Header.Get(kvOperation) != "" {
		return Raw{}, ErrNotFound
	}
	seq, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return Raw{}, fmt.Errorf("answer without a sequence number: %w", err)
	}
	return Raw{Data: m.Data, Seq: seq}, nil
}

// An ack is the answer of a stream that a message was published to.
type ack struct {
	Seq   uint64      `json:"seq"`
	Error *apiFailure `json:"error"`
}

// An apiFailure is why JetStream did not do what it was asked for.
type apiFailure struct {
	Code        int    `json:"err_code"`
	Description string `json:"description"`
}

// Codes of JetStream's failures.
const (
	errCodeNoMessage         = int(jetstream.JSErrCodeMessageNotFound)
	errCodeNoStream          = int(jetstream.JSErrCodeStreamNotFound)
	errCodeTooLarge          = 10054 // "message size exceeds maximum allowed"
	errCodeWrongLast         = int(jetstream.JSErrCodeStreamWrongLastSequence)
	errCodeWrongLastReplicas = int(jetstream.JSErrCodeStreamWrongLastSequenceConstant)
)

// err returns f in terms of this package's errors where there is one for it.
func (f apiFailure) err() error {
	known := fmt.Errorf("%s (%d)", f.Description, f.Code)
	switch f.Code {
	case errCodeTooLarge:
		return fmt.Errorf("%w: %w", ErrTooLarge, known)
	case errCodeWrongLast, errCodeWrongLastReplicas:
		return fmt.Errorf("%w: %w", ErrConflict, known)
	case errCodeNoStream: // not made yet, or again
		return fmt.Errorf("%w: %w", ErrNoResponders, known)
	}
	return known
}

// parseAck returns the sequence number that m says, or why it was not stored.
func parseAck(m *nats.Msg) (uint64, error) {
	var a ack
	if err := json.Unmarshal(m.Data, &a); err != nil {
		return 0, fmt.Errorf("acknowledgement: %w", err)
	}
	switch {
	case a.Error == nil && a.Seq > 0:
		return a.Seq, nil
	case a.Error == nil:
		return 0, fmt.Errorf("acknowledgement %q names no sequence number", m.Data)
	default:
		return 0, fmt.Errorf("not stored: %w", a.Error.err())
	}
}
