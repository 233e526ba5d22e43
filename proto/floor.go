package proto

import (
	"slices"
	"time"
)

// clockTolerance is how far a host's clock may lag behind the controller's
// before it is called wrong.
const clockTolerance = 5 * time.Minute

// A Floor is what a host remembers of the statements that it accepted, so that
// none older is accepted later. The zero value accepts anything.
type Floor struct {
	Serial Serial    `json:"serial"`
	Issued time.Time `json:"issued,omitzero"` // of the newest assignment under Serial
	// Latest is the latest that anything accepted was issued, under any serial:
	// a local clock before it is not believed.
	Latest    time.Time `json:"latest,omitzero"`
	Withdrawn []Digest  `json:"withdrawn,omitempty"`
	// WithdrawalSerial is the serial of the newest list of withdrawals seen.
	WithdrawalSerial Serial `json:"withdrawal_serial,omitempty"`
	// Challenge is what a [Reset] has to name before anything is accepted; empty
	// unless the host found that its floor was lost.
	Challenge string `json:"challenge,omitempty"`
}

// Equal reports whether f and o remember the same.
func (f Floor) Equal(o Floor) bool {
	return f.Serial == o.Serial && f.Issued.Equal(o.Issued) && f.Latest.Equal(o.Latest) &&
		f.WithdrawalSerial == o.WithdrawalSerial && f.Challenge == o.Challenge && slices.Equal(f.Withdrawn, o.Withdrawn)
}

// withdraw returns f with what e newly withdraws; nil withdraws nothing. With
// an error it returns f as it was.
func (f Floor) withdraw(e *Envelope, keys []PublicKey) (Floor, error) {
	if e == nil {
		return f, nil
	}
	w, err := OpenWithdrawals(*e, keys)
	if err != nil || w.Serial <= f.WithdrawalSerial {
		return f, err
	}
	if w.Serial-f.WithdrawalSerial > MaxSerialJump {
		return f, refuse(ReasonMalformed, "list of withdrawals %d is more than %d ahead of %d", w.Serial, MaxSerialJump, f.WithdrawalSerial)
	}
	all := slices.Clone(f.Withdrawn)
	for _, r := range w.Releases {
		if !slices.Contains(all, r) {
			all = append(all, r)
		}
	}
	f.Withdrawn, f.WithdrawalSerial = all, w.Serial
	return f, nil
}

// raise returns f after as was accepted.
func (f Floor) raise(as Assignment) Floor {
	f.Serial, f.Issued = as.Serial, as.Issued
	if as.Issued.After(f.Latest) {
		f.Latest = as.Issued
	}
	return f
}

// check compares an assignment with what was accepted before.
func (f Floor) check(as Assignment, release Digest) error {
	switch {
	case as.Serial < f.Serial:
		return refuse(ReasonRollback, "assignment %d is older than %d, which was accepted before", as.Serial, f.Serial)
	case as.Serial == f.Serial && as.Issued.Before(f.Issued):
		return refuse(ReasonRollback, "assignment %d was issued %s, one issued %s was accepted before",
			as.Serial, as.Issued.UTC().Format(time.RFC3339), f.Issued.UTC().Format(time.RFC3339))
	case as.Serial-f.Serial > MaxSerialJump:
		return refuse(ReasonMalformed, "assignment %d is more than %d ahead of %d", as.Serial, MaxSerialJump, f.Serial)
	case slices.Contains(f.Withdrawn, release):
		return refuse(ReasonWithdrawn, "release %s of assignment %d was withdrawn", release, as.Serial)
	}
	return nil
}

// checkTime compares the local time with what was issued, and with the end of
// the assignment.
func (f Floor) checkTime(as Assignment, now time.Time) error {
	if latest := f.raise(as).Latest; now.Add(clockTolerance).Before(latest) {
		return refuse(ReasonClock, "the local clock says %s, but something was issued %s: set the clock",
			now.UTC().Format(time.RFC3339), latest.UTC().Format(time.RFC3339))
	}
	if !now.Before(as.Expires) && as.Serial == f.Serial && as.Issued.Equal(f.Issued) {
		return refuse(ReasonFreeze, "nothing newer than assignment %d came since it expired %s: the controller is down, or somebody in between holds back what it says",
			as.Serial, as.Expires.UTC().Format(time.RFC3339))
	}
	if !now.Before(as.Expires) {
		return refuse(ReasonExpired, "assignment %d expired %s: the controller signs it anew when it is up",
			as.Serial, as.Expires.UTC().Format(time.RFC3339))
	}
	return nil
}
