package bus

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"

	"kedge/proto"
)

const (
	// MaxRequest is how many bytes a request to the operator API may have.
	MaxRequest = 1 << 20

	maxReply     = 256 << 20 // unpacked
	compressFrom = 64 << 10  // replies smaller than this are sent as they are
	callTimeout  = proto.MaxWait + 15*time.Second

	encodingHeader = "Content-Encoding"
	encodingGzip   = "gzip"
)

// Call makes the call e of the operator API. A connection that was just made has
// to be waited for first: see [Conn.AwaitConnected]. It waits as long as ctx
// allows, for an answer that may be lost; without a deadline in ctx a little
// longer than [proto.MaxWait]. The error is an [*APIError] if the
// controller reported it, and wraps [ErrDenied] if the role may not make this
// call, or [ErrNoResponders] if no controller is there.
func Call[Req, Rep any](ctx context.Context, c *Conn, e proto.Endpoint, req Req) (Rep, error) {
	var rep Rep
	body, err := json.Marshal(req)
	if err != nil {
		return rep, fmt.Errorf("call %s: encode: %w", e.Name(), err)
	}
	if len(body) > MaxRequest {
		return rep, fmt.Errorf("call %s: %w: %d bytes, at most %d are allowed", e.Name(), ErrTooLarge, len(body), MaxRequest)
	}
	timeout := callTimeout
	if d, ok := ctx.Deadline(); ok {
		timeout = time.Until(d)
	}
	m := nats.NewMsg(e.Subject())
	m.Data = body
	own, err := readCredentials(c.options.Credentials)
	if err != nil {
		return rep, fmt.Errorf("call %s: %w", e.Name(), err)
	}
	defer own.pair.Wipe()
	if err := own.sign(m, time.Now()); err != nil {
		return rep, fmt.Errorf("call %s: sign: %w", e.Name(), err)
	}
	reply, err := c.request(ctx, m, timeout)
	if err != nil {
		return rep, fmt.Errorf("call %s: %w", e.Name(), err)
	}
	if err := reported(reply); err != nil {
		return rep, fmt.Errorf("call %s: %w", e.Name(), err)
	}
	if err := decodeReply(reply, &rep); err != nil {
		return rep, fmt.Errorf("call %s: answer: %w", e.Name(), err)
	}
	return rep, nil
}

// decodeReply decodes m into v, ignoring fields that it does not know.
func decodeReply(m *nats.Msg, v any) error {
	if m.Header.Get(encodingHeader) != encodingGzip {
		return json.Unmarshal(m.Data, v)
	}
	z, err := gzip.NewReader(bytes.NewReader(m.Data))
	if err != nil {
		return err
	}
	return json.NewDecoder(io.LimitReader(z, maxReply)).Decode(v)
}

// encodeReply puts v into m as JSON, compressed if it is long.
func encodeReply(m *nats.Msg, v any) error {
	body, err := json.Marshal(v)
	if err != nil || len(body) < compressFrom {
		m.Data = body
		return err
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(body); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	m.Data = b.Bytes()
	m.Header.Set(encodingHeader, encodingGzip)
	return nil
}

// DecodeRequest decodes a request into v. Unlike readers of messages it refuses fields
// that it does not know: whoever asks for something must not be given less. The error is an [*APIError].
func DecodeRequest(b []byte, v any) error {
	if len(b) > MaxRequest {
		return Errorf(CodeBadRequest, "request has %d bytes, at most %d are read", len(b), MaxRequest)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return Errorf(CodeBadRequest, "request: %v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Errorf(CodeBadRequest, "request: more than one JSON value")
	}
	return nil
}
