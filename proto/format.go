package proto

import (
	"encoding/json"
	"errors"
	"fmt"
)

// ErrUnknownFormat is wrapped when a message has a format number that this
// version does not know.
var ErrUnknownFormat = errors.New("unknown format")

// Format1 is the only format of every message so far.
const Format1 = 1

// Size limits, in bytes, checked before anything is parsed.
const (
	MaxDesired   = 16 << 10 // also the bucket's limit for a value
	MaxStatus    = 16 << 10
	MaxEvent     = 32 << 10
	MaxLog       = 48 << 10
	MaxHeartbeat = 1 << 10
)

// ErrOversized is wrapped when a message has more bytes than its kind may have.
var ErrOversized = errors.New("oversized message")

// decode parses b into v after checking its size and its format number.
func decode(what string, b []byte, limit int, v any) error {
	if err := checkSize(what, b, limit); err != nil {
		return err
	}
	var f struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(b, &f); err != nil {
		return fmt.Errorf("%s: %w: %w", what, ErrMalformed, err)
	}
	if f.Format != Format1 {
		return fmt.Errorf("%s: %w %d, this version knows %d", what, ErrUnknownFormat, f.Format, Format1)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w: %w", what, ErrMalformed, err)
	}
	return nil
}

func checkSize(what string, b []byte, limit int) error {
	if len(b) > limit {
		return fmt.Errorf("%s: %w: %d bytes, at most %d are read", what, ErrOversized, len(b), limit)
	}
	return nil
}

// encode returns v as JSON. The messages of this package always encode; an
// error means that one holds what it must not, such as a time beyond year 9999.
func encode(what string, v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", what, err)
	}
	return b, nil
}
