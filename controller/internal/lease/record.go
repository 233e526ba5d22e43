package lease

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"kedge/proto"
)

// format1 is the only format of an encoded record so far.
const format1 = 1

// A Holder is a host that has a lease.
type Holder struct {
	Host       proto.HostName `json:"host"`
	Deployment string         `json:"deployment,omitempty"` // ID of what the reboot is for
	Since      time.Time      `json:"since"`                // when it got the lease
	Asked      time.Time      `json:"asked"`                // when it asked for it last
}

// Rules say who may have a lease.
type Rules struct {
	Slots int // how many hosts at a time
	// MaxAge is how long after a host asked last another one may get its place;
	// zero is for ever.
	MaxAge time.Duration
}

// Expires returns from when on others may get the place of h; zero is never.
func (r Rules) Expires(h Holder) time.Time {
	if r.MaxAge == 0 {
		return time.Time{}
	}
	return h.Asked.Add(r.MaxAge)
}

// record is who has leases, the oldest first.
type record []Holder

// encoded is how a record is kept.
type encoded struct {
	Format  int    `json:"format"`
	Holders record `json:"holders"`
}

func (r record) encode() ([]byte, error) {
	b, err := json.Marshal(encoded{Format: format1, Holders: r})
	if err != nil {
		return nil, fmt.Errorf("encode leases: %w", err)
	}
	return b, nil
}

// parse parses what encode returned; nothing is a record of nobody. Errors wrap
// [proto.ErrUnknownFormat] or [proto.ErrMalformed].
func parse(b []byte) (record, error) {
	if len(b) == 0 {
		return nil, nil
	}
	var e encoded
	if err := json.Unmarshal(b, &e); err != nil {
		return nil, fmt.Errorf("leases: %w: %w", proto.ErrMalformed, err)
	}
	if e.Format != format1 {
		return nil, fmt.Errorf("leases: %w %d, this version knows %d", proto.ErrUnknownFormat, e.Format, format1)
	}
	for _, h := range e.Holders {
		if h.Host.IsZero() {
			return nil, fmt.Errorf("leases: %w: one has no host", proto.ErrMalformed)
		}
	}
	return e.Holders, nil
}

// index returns where host is; -1 if it has no lease.
func (r record) index(host proto.HostName) int {
	return slices.IndexFunc(r, func(h Holder) bool { return h.Host == host })
}

// grant returns the record in which a host has the lease that it asked for, and
// whose had expired and are not in it any more. If there is none for it, granted is
// false and nothing changed.
func (r record) grant(h Holder, rules Rules) (next record, expired []Holder, granted bool) {
	if i := r.index(h.Host); i >= 0 {
		h.Since = r[i].Since
		next = slices.Clone(r)
		next[i] = h
		return next, nil, true
	}
	for _, other := range r {
		if at := rules.Expires(other); !at.IsZero() && !at.After(h.Asked) {
			expired = append(expired, other)
		} else {
			next = append(next, other)
		}
	}
	if len(next) >= rules.Slots {
		return r, nil, false
	}
	return append(next, h), expired, true
}

// without returns the record in which host has no lease.
func (r record) without(host proto.HostName) record {
	return slices.DeleteFunc(slices.Clone(r), func(h Holder) bool { return h.Host == host })
}
