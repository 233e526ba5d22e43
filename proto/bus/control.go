package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"kedge/proto"
)

// getControl is where the leader of a stream is asked for a message. A Direct Get
// may be answered by a replica that is behind.
const getControl = "$JS.API.STREAM.MSG.GET." + proto.StreamControl

// GetControl returns what controllers keep under key in [proto.BucketControl], as
// it is now. Nothing is there is no error, but no data.
func (f *Fleet) GetControl(ctx context.Context, key string) (Raw, error) {
	m := nats.NewMsg(getControl)
	var err error
	if m.Data, err = json.Marshal(map[string]string{"last_by_subj": proto.ControlKeySubject(key)}); err != nil {
		return Raw{}, fmt.Errorf("control key %s: %w", key, err)
	}
	reply, err := f.conn.request(ctx, m, requestTimeout)
	if err != nil {
		return Raw{}, fmt.Errorf("control key %s: %w", key, err)
	}
	r, err := parseStored(reply)
	if err != nil {
		return Raw{}, fmt.Errorf("control key %s: %w", key, err)
	}
	return r, nil
}

// NextControl returns the first that controllers put under any key from the sequence
// number from on, as it is now, with its key. The error wraps [ErrNotFound] if there is
// none.
func (f *Fleet) NextControl(ctx context.Context, from uint64) (key string, r Raw, err error) {
	m := nats.NewMsg(getControl)
	if m.Data, err = json.Marshal(map[string]any{"seq": from, "next_by_subj": proto.ControlKeySubject(">")}); err != nil {
		return "", Raw{}, fmt.Errorf("control keys from %d: %w", from, err)
	}
	reply, err := f.conn.request(ctx, m, requestTimeout)
	if err != nil {
		return "", Raw{}, fmt.Errorf("control keys from %d: %w", from, err)
	}
	subject, r, err := parseStoredAt(reply)
	if err != nil {
		return "", Raw{}, fmt.Errorf("control keys from %d: %w", from, err)
	}
	if r.Seq == 0 {
		return "", Raw{}, fmt.Errorf("control keys from %d: %w", from, ErrNotFound)
	}
	key, _ = proto.ControlKey(subject)
	return key, r, nil
}

// PutControl keeps data under key, and returns its sequence number, when what it
// replaces has the sequence number last: that of [Fleet.GetControl]. Else the error
// wraps [ErrConflict] and nothing was changed. After any other error it may be kept
// or not.
func (f *Fleet) PutControl(ctx context.Context, key string, data []byte, last uint64) (uint64, error) {
	m := nats.NewMsg(proto.ControlKeySubject(key))
	m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(last, 10))
	m.Data = data
	reply, err := f.conn.request(ctx, m, requestTimeout)
	if err != nil {
		return 0, fmt.Errorf("control key %s after %d: %w", key, last, err)
	}
	seq, err := parseAck(reply)
	if err != nil {
		return 0, fmt.Errorf("control key %s after %d: %w", key, last, err)
	}
	return seq, nil
}

// parseStored returns the message that m, the answer of a stream's leader, holds;
// none if there is none. One that stands for a deletion has no data.
func parseStored(m *nats.Msg) (Raw, error) {
	_, r, err := parseStoredAt(m)
	return r, err
}

// parseStoredAt is parseStored, and returns the subject, too.
func parseStoredAt(m *nats.Msg) (subject string, r Raw, err error) {
	var a struct {
		Message struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
		Error *apiFailure `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &a); err != nil {
		return "", Raw{}, fmt.Errorf("answer: %w", err)
	}
	switch {
	case a.Error == nil && a.Message.Seq > 0:
		return a.Message.Subject, Raw{Data: a.Message.Data, Seq: a.Message.Seq, Time: a.Message.Time}, nil
	case a.Error == nil:
		return "", Raw{}, fmt.Errorf("answer %q names no sequence number", m.Data)
	case a.Error.Code == errCodeNoMessage:
		return "", Raw{}, nil
	}
	return "", Raw{}, a.Error.err()
}
