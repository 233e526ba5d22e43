package proto

import (
	"fmt"
	"time"
)

// HeartbeatInterval is how often an agent says that it lives, give or take 20
// per cent at random.
const HeartbeatInterval = time.Minute

// HeartbeatMaxInterval is the longest time between two of an agent that is well.
const HeartbeatMaxInterval = HeartbeatInterval + HeartbeatInterval/5

// A Heartbeat says that a host's agent lives and is connected.
type Heartbeat struct {
	Format int       `json:"format"`
	Host   HostName  `json:"host"`
	Time   time.Time `json:"time"`              // the host's clock
	Serial Serial    `json:"serial,omitempty"`  // of the newest assignment accepted
	BootID string    `json:"boot_id,omitempty"` // of the running kernel
}

// Encode returns h as JSON.
func (h Heartbeat) Encode() ([]byte, error) {
	h.Format = Format1
	return encode("heartbeat", h)
}

// ParseHeartbeat parses b. Errors wrap [ErrOversized], [ErrUnknownFormat] or
// [ErrMalformed].
func ParseHeartbeat(b []byte) (Heartbeat, error) {
	var h Heartbeat
	if err := decode("heartbeat", b, MaxHeartbeat, &h); err != nil {
		return Heartbeat{}, err
	}
	if h.Host.IsZero() {
		return Heartbeat{}, fmt.Errorf("heartbeat: %w: host is required", ErrMalformed)
	}
	return h, nil
}
