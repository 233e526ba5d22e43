package proto

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
)

// A KeyRef says which public key is meant, without telling it.
type KeyRef struct {
	Name        string `json:"name"`
	Fingerprint string `json:"fingerprint"`
}

// fingerprintSize is how many bytes of a key's digest tell keys apart.
const fingerprintSize = 16

// Ref returns the name and the fingerprint of k: the beginning of the SHA-256 of
// its bytes, in hexadecimal.
func (k PublicKey) Ref() KeyRef {
	sum := sha256.Sum256(k.key[:])
	return KeyRef{Name: k.name, Fingerprint: hex.EncodeToString(sum[:fingerprintSize])}
}

// A TrustStatus is what a host says about whom it trusts. The zero value is of one
// that does not say.
type TrustStatus struct {
	ReleaseKeys      []KeyRef `json:"release_keys,omitempty"`
	ReleaseThreshold int      `json:"release_threshold,omitempty"`
	ControllerKeys   []KeyRef `json:"controller_keys,omitempty"`
}

// Status returns t as a host reports it.
func (t Trust) Status() TrustStatus {
	refs := func(keys []PublicKey) (r []KeyRef) {
		for _, k := range keys {
			r = append(r, k.Ref())
		}
		return r
	}
	return TrustStatus{
		ReleaseKeys: refs(t.ReleaseKeys), ReleaseThreshold: max(t.ReleaseThreshold, 1), ControllerKeys: refs(t.ControllerKeys),
	}
}

// Trusts reports whether k is among the host's release keys or controller keys.
func (t TrustStatus) Trusts(k PublicKey) (release, controller bool) {
	return slices.Contains(t.ReleaseKeys, k.Ref()), slices.Contains(t.ControllerKeys, k.Ref())
}

// shorten returns the first keys that have about budget bytes of JSON.
func (t TrustStatus) shorten(budget int) TrustStatus {
	t.ReleaseKeys, t.ControllerKeys = shortenRefs(t.ReleaseKeys, budget/2), shortenRefs(t.ControllerKeys, budget/2)
	return t
}

// refSize is about what a reference has in JSON beside its name.
const refSize = 70

func shortenRefs(refs []KeyRef, budget int) []KeyRef {
	for i, r := range refs {
		if budget -= len(r.Name) + len(r.Fingerprint) + refSize; budget < 0 {
			return slices.Clone(refs[:i])
		}
	}
	return refs
}
