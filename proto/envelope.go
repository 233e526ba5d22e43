package proto

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// A PayloadType binds a signature to one kind of statement, so that a
// signature on one can never pass for a signature on another.
type PayloadType string

// The kinds of signed statements.
const (
	PayloadRelease     PayloadType = "application/vnd.kedge.release.v1+json"
	PayloadAssignment  PayloadType = "application/vnd.kedge.assignment.v1+json"
	PayloadWithdrawals PayloadType = "application/vnd.kedge.withdrawals.v1+json"
	PayloadReset       PayloadType = "application/vnd.kedge.reset.v1+json"
)

// An Envelope carries a statement and its signatures. A signature covers the
// type and the exact bytes of the payload, in the pre-authentication encoding
// of DSSE v1 (https://github.com/secure-systems-lab/dsse): nothing is
// re-encoded in order to verify it.
//
// The payload is not to be looked at before [Envelope.Open] returned it.
type Envelope struct {
	PayloadType PayloadType `json:"payloadType"`
	Payload     []byte      `json:"payload"` // base64 in JSON
	Signatures  []Signature `json:"signatures"`
}

// A Signature is one key's signature in an [Envelope].
type Signature struct {
	KeyID string `json:"keyid"` // the key's name: a hint, not a proof
	Sig   []byte `json:"sig"`   // base64 in JSON
}

// MaxSignatures is how many signatures an envelope may carry: enough for a
// threshold and a rotation at once, few enough to verify all.
const MaxSignatures = 16

// Errors of [Envelope.Open].
var (
	ErrUnknownKey   = errors.New("signed by no trusted key")
	ErrBadSignature = errors.New("signature does not fit")
	ErrMalformed    = errors.New("malformed message")
)

// Seal signs payload, as a statement of type t, with every key given. Without
// a key nobody will open the envelope.
func Seal(t PayloadType, payload []byte, keys ...SecretKey) Envelope {
	e := Envelope{PayloadType: t, Payload: payload}
	msg := preAuth(t, payload)
	for _, k := range keys {
		if k.IsZero() {
			continue
		}
		e.Signatures = append(e.Signatures, Signature{KeyID: k.name, Sig: k.sign(msg)})
	}
	return e
}

// Countersign returns e with the signatures of further keys. Those that signed it
// already do not sign again. Of more signatures than [MaxSignatures] the oldest of other
// keys go: nobody would read the envelope.
func (e Envelope) Countersign(keys ...SecretKey) Envelope {
	e.Signatures = slices.Clone(e.Signatures)
	for _, k := range keys {
		if !e.SignedBy(k.Public()) {
			e.Signatures = append(e.Signatures, Seal(e.PayloadType, e.Payload, k).Signatures...)
		}
	}
	surplus := len(e.Signatures) - MaxSignatures
	e.Signatures = slices.DeleteFunc(e.Signatures, func(s Signature) bool {
		signs := func(k SecretKey) bool { return k.Public().Name() == s.KeyID }
		if surplus <= 0 || slices.ContainsFunc(keys, signs) {
			return false
		}
		surplus--
		return true
	})
	return e
}

// SignedBy reports whether a signature of e is k's, and good.
func (e Envelope) SignedBy(k PublicKey) bool {
	msg := preAuth(e.PayloadType, e.Payload)
	return slices.ContainsFunc(e.Signatures, func(s Signature) bool { return s.KeyID == k.name && k.verify(msg, s.Sig) })
}

// ParseEnvelope parses b, an envelope in a file of its own, without verifying it.
// Errors wrap [ErrOversized] or [ErrMalformed].
func ParseEnvelope(b []byte) (Envelope, error) {
	if err := checkSize("signed statement", b, MaxDesired); err != nil {
		return Envelope{}, err
	}
	var e Envelope
	if err := json.Unmarshal(b, &e); err != nil {
		return Envelope{}, fmt.Errorf("signed statement: %w: %w", ErrMalformed, err)
	}
	if e.PayloadType == "" {
		return Envelope{}, fmt.Errorf("signed statement: %w: payloadType is required", ErrMalformed)
	}
	return e, nil
}

// Open returns the payload if e is a statement of type t that at least
// threshold different keys of trusted have signed. A threshold below 1 counts
// as 1. Keys that differ in name only are one key.
//
// It fails with an error that wraps [ErrMalformed], [ErrUnknownKey] (too few
// trusted keys are named), or [ErrBadSignature] (they are named, but too few
// of their signatures fit).
func (e Envelope) Open(t PayloadType, trusted []PublicKey, threshold int) ([]byte, error) {
	if e.PayloadType != t {
		return nil, fmt.Errorf("%w: it is a %q, want a %q", ErrMalformed, e.PayloadType, t)
	}
	if len(e.Signatures) > MaxSignatures {
		return nil, fmt.Errorf("%w: it has %d signatures, at most %d are read", ErrMalformed, len(e.Signatures), MaxSignatures)
	}
	threshold = max(threshold, 1)
	msg := preAuth(t, e.Payload)
	named, good := keySet{}, keySet{}
	for _, s := range e.Signatures {
		for _, k := range trusted {
			if k.name != s.KeyID {
				continue
			}
			named[k.key] = true
			if k.verify(msg, s.Sig) {
				good[k.key] = true
			}
		}
	}
	switch {
	case len(good) >= threshold:
		return slices.Clone(e.Payload), nil
	case len(named) < threshold:
		return nil, fmt.Errorf("%w: %d of %d signatures needed are by trusted keys", ErrUnknownKey, len(named), threshold)
	default:
		return nil, fmt.Errorf("%w: %d of %d signatures needed are good", ErrBadSignature, len(good), threshold)
	}
}

// keySet counts keys by their bytes, whatever they are called.
type keySet map[[32]byte]bool

// preAuth is DSSE's pre-authentication encoding.
func preAuth(t PayloadType, payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(t), t, len(payload), payload)
}
