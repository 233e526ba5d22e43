package leader

import (
	"encoding/json"
	"fmt"

	"kedge/proto"
)

// format1 is the only format of a record so far.
const format1 = 1

// record says who holds the lease.
type record struct {
	Format int `json:"format"`
	// Holder is empty if nobody does.
	Holder string `json:"holder"`
	// Term is another one each time that the lease is taken.
	Term string `json:"term,omitempty"`
}

func (r record) encode() ([]byte, error) {
	r.Format = format1
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode the lease: %w", err)
	}
	return b, nil
}

// parse parses what encode returned; nothing is a lease that nobody holds. Errors wrap
// [proto.ErrUnknownFormat] or [proto.ErrMalformed].
func parse(b []byte) (record, error) {
	if len(b) == 0 {
		return record{}, nil
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return record{}, fmt.Errorf("lease: %w: %w", proto.ErrMalformed, err)
	}
	if r.Format != format1 {
		return record{}, fmt.Errorf("lease: %w %d, this version knows %d", proto.ErrUnknownFormat, r.Format, format1)
	}
	return r, nil
}
