package proto

import (
	"fmt"
	"time"
)

// A Reset lets one host accept again that lost what it remembered of the
// statements that it accepted. A controller key signs it. It counts once: for the
// challenge that the host made when it found its memory gone.
type Reset struct {
	Format    int      `json:"format"`
	Host      HostName `json:"host"`
	Challenge string   `json:"challenge"`
	// Issued, Serial and WithdrawalSerial take the place of what was lost: nothing
	// below them is accepted.
	Issued           time.Time `json:"issued"`
	Serial           Serial    `json:"serial"`                      // of assignments
	WithdrawalSerial Serial    `json:"withdrawal_serial,omitempty"` // of the list that must come with it; zero for none
}

// MaxChallenge limits a challenge, in bytes.
const MaxChallenge = 64

// Sign returns r in an envelope, signed by every key.
func (r Reset) Sign(keys ...SecretKey) (Envelope, error) {
	r.Format = Format1
	if err := r.validate(); err != nil {
		return Envelope{}, err
	}
	b, err := encode("reset", r)
	if err != nil {
		return Envelope{}, err
	}
	return Seal(PayloadReset, b, keys...), nil
}

// OpenReset verifies e, by any one of the trusted keys, and returns the reset in
// it; see [Envelope.Open].
func OpenReset(e Envelope, trusted []PublicKey) (Reset, error) {
	b, err := e.Open(PayloadReset, trusted, 1)
	if err != nil {
		return Reset{}, fmt.Errorf("reset: %w", err)
	}
	var r Reset
	if err := decode("reset", b, MaxDesired, &r); err != nil {
		return Reset{}, err
	}
	return r, r.validate()
}

func (r Reset) validate() error {
	if r.Host.IsZero() || r.Issued.IsZero() || r.Challenge == "" || len(r.Challenge) > MaxChallenge {
		return fmt.Errorf("reset: %w: host, issued and a challenge of at most %d bytes are required", ErrMalformed, MaxChallenge)
	}
	return nil
}

// regain returns the floor of a host: f, or, if what it had accepted is lost, what
// d's reset puts in its place, with d's withdrawals. With an error it returns f as
// it was.
func (f Floor) regain(d Desired, t Trust, host HostName) (Floor, error) {
	if f.Challenge == "" {
		return f.withdraw(d.Withdrawals, t.ReleaseKeys)
	}
	if d.Reset == nil {
		return f, refuse(ReasonFloorsLost, "what this host accepted before is lost: nothing is accepted until somebody runs `kedge host reset %s`", host)
	}
	r, err := OpenReset(*d.Reset, t.ControllerKeys)
	switch {
	case err != nil:
		return f, err
	case r.Host != host:
		return f, refuse(ReasonWrongHost, "reset is for %s, this host is %s", r.Host, host)
	case r.Challenge != f.Challenge:
		return f, refuse(ReasonFloorsLost, "what this host accepted before is lost again: the reset is for an earlier time; run `kedge host reset %s`", host)
	}
	next, err := Floor{Serial: r.Serial, Latest: r.Issued}.withdraw(d.Withdrawals, t.ReleaseKeys)
	if err != nil {
		return f, err
	}
	if next.WithdrawalSerial < r.WithdrawalSerial {
		return f, refuse(ReasonRollback, "the reset wants list of withdrawals %d, and it comes with %d", r.WithdrawalSerial, next.WithdrawalSerial)
	}
	return next, nil
}
