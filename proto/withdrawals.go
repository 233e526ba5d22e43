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

// OpenWithdrawals verifies e, by any one of the trusted keys, and returns the
// list in it; see [Envelope.Open].
func OpenWithdrawals(e Envelope, trusted []PublicKey) (Withdrawals, error) {
	b, err := e.Open(PayloadWithdrawals, trusted, 1)
	if err != nil {
		return Withdrawals{}, fmt.Errorf("withdrawals: %w", err)
	}
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
	return nil
}

// Has reports whether the release with this digest was withdrawn.
func (w Withdrawals) Has(release Digest) bool { return slices.Contains(w.Releases, release) }
