package proto

import (
	"fmt"
	"slices"
	"time"
)

// Withdrawals lists releases that must not be installed any more. A release
// key signs it. A host remembers what was once withdrawn.
type Withdrawals struct {
	Format   int       `json:"format"`
	Serial   Serial    `json:"serial"` // higher than that of every list before
	Issued   time.Time `json:"issued"`
	Releases []Digest  `json:"releases"` // of the releases' payloads
}

// Sign returns w in an envelope, signed by every key.
func (w Withdrawals) Sign(keys ...SecretKey) (Envelope, error) {
	w.Format = Format1
	if err := w.validate(); err != nil {
		return Envelope{}, err
	}
	b, err := encode("withdrawals", w)
	if err != nil {
		return Envelope{}, err
	}
	return Seal(PayloadWithdrawals, b, keys...), nil
}

// MaxWithdrawals is how many releases a list may have: it is a part of every
// desired state, which has a limited size.
const MaxWithdrawals = 100

// OpenWithdrawals verifies e, by any one of the trusted keys, and returns the
// list in it; see [Envelope.Open].
func OpenWithdrawals(e Envelope, trusted []PublicKey) (Withdrawals, error) {
	b, err := e.Open(PayloadWithdrawals, trusted, 1)
	if err != nil {
		return Withdrawals{}, fmt.Errorf("withdrawals: %w", err)
	}
	return parseWithdrawals(b)
}

// ReadWithdrawals returns what e says, whoever signed it: for showing it to people,
// and for adding to it. It is not to be acted on.
func ReadWithdrawals(e Envelope) (Withdrawals, error) {
	if e.PayloadType != PayloadWithdrawals {
		return Withdrawals{}, fmt.Errorf("withdrawals: %w: it is a %q", ErrMalformed, e.PayloadType)
	}
	return parseWithdrawals(e.Payload)
}

func parseWithdrawals(b []byte) (Withdrawals, error) {
	var w Withdrawals
	if err := decode("withdrawals", b, MaxDesired, &w); err != nil {
		return Withdrawals{}, err
	}
	return w, w.validate()
}

func (w Withdrawals) validate() error {
	if w.Serial == 0 || w.Has(Digest{}) {
		return fmt.Errorf("withdrawals: %w: a serial is required, and a digest for every release", ErrMalformed)
	}
	if len(w.Releases) > MaxWithdrawals {
		return fmt.Errorf("withdrawals: %w: the list has %d releases, at most %d are read", ErrMalformed, len(w.Releases), MaxWithdrawals)
	}
	return nil
}

// Has reports whether the release with this digest was withdrawn.
func (w Withdrawals) Has(release Digest) bool { return slices.Contains(w.Releases, release) }
