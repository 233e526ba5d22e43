package proto_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"testing"

	"kedge/proto"
)

// The signature was computed without this package: the encoding written by
// hand from DSSE's protocol.md, and signed by OpenSSL 3.0 with the seed of the
// key that Nix made (`openssl pkeyutl -sign -rawin`).
func TestDSSEVector(t *testing.T) {
	const want = "Zu/msUjbnrlsTfejZTW6jUA3NMX9MGHe3vDyP482AF7rkKgrUx0353RfQY/72zSmTDef+FqOw1jLU9csyo4+BA=="
	e := proto.Seal(proto.PayloadRelease, []byte("hello world"), parsed(t, proto.ParseSecretKey, nixSecret))
	if got := base64.StdEncoding.EncodeToString(e.Signatures[0].Sig); got != want {
		t.Errorf("signature: got %s, want %s", got, want)
	}
}

func TestOpenEnvelope(t *testing.T) {
	payload := []byte(`{"format":1}`)
	a, b, c, foreign := secretKey(t, "a", 1), secretKey(t, "b", 2), secretKey(t, "c", 3), secretKey(t, "x", 9)
	aAgain := secretKey(t, "a-again", 1) // the key a under another name
	impostor := secretKey(t, "a", 9)     // another key under the name a
	trusted := []proto.PublicKey{a.Public(), aAgain.Public(), b.Public(), c.Public()}
	seal := func(keys ...proto.SecretKey) proto.Envelope {
		return proto.Seal(proto.PayloadRelease, payload, keys...)
	}
	many := slices.Repeat([]proto.SecretKey{foreign}, proto.MaxSignatures-1)

	for _, tc := range []struct {
		name      string
		envelope  proto.Envelope
		threshold int
		want      error
	}{
		{"opens with the one signature needed", seal(a), 1, nil},
		{"takes a threshold of 0 for 1", seal(a), 0, nil},
		{"takes a threshold below 0 for 1, and never for none", seal(), -1, proto.ErrUnknownKey},
		{"opens with two of three", seal(a, c), 2, nil},
		{"opens with more than needed", seal(a, b, c), 2, nil},
		{"opens beside a foreign signature, as in a rotation", seal(foreign, a), 1, nil},
		{"opens beside an impostor's signature", seal(impostor, a), 1, nil},
		{"opens with the last of 16 signatures", seal(append(many, a)...), 1, nil},
		{"refuses 17 signatures", seal(append(many, foreign, a)...), 1, proto.ErrMalformed},
		{"refuses no signature", seal(), 1, proto.ErrUnknownKey},
		{"refuses a foreign key", seal(foreign), 1, proto.ErrUnknownKey},
		{"refuses one of two", seal(a), 2, proto.ErrUnknownKey},
		{"refuses one and a foreign one of two", seal(a, foreign), 2, proto.ErrUnknownKey},
		{"counts a key that signed twice once", seal(a, a), 2, proto.ErrUnknownKey},
		{"counts a key under two names once", seal(a, aAgain), 2, proto.ErrUnknownKey},
		{"refuses an impostor", seal(impostor), 1, proto.ErrBadSignature},
		{"refuses one and an impostor of two", seal(b, impostor), 2, proto.ErrBadSignature},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := tc.envelope.Open(proto.PayloadRelease, trusted, tc.threshold)
			if !errors.Is(err, tc.want) {
				t.Fatalf("got error %v, want %v", err, tc.want)
			}
			if want := payload; tc.want == nil && !bytes.Equal(got, want) || tc.want != nil && got != nil {
				t.Errorf("got payload %q, want %q", got, want)
			}
		})
	}
}

func TestOpenRefusesWhatWasChangedAfterSigning(t *testing.T) {
	k := releaseKey(t)
	for _, tc := range []struct {
		name   string
		change func(*proto.Envelope)
		want   error
	}{
		{"a byte of the payload", func(e *proto.Envelope) { e.Payload[0] ^= 1 }, proto.ErrBadSignature},
		{"a byte more", func(e *proto.Envelope) { e.Payload = append(e.Payload, ' ') }, proto.ErrBadSignature},
		{"a byte less", func(e *proto.Envelope) { e.Payload = e.Payload[1:] }, proto.ErrBadSignature},
		{"a byte of the signature", func(e *proto.Envelope) { e.Signatures[0].Sig[0] ^= 1 }, proto.ErrBadSignature},
		{"a signature of no bytes", func(e *proto.Envelope) { e.Signatures[0].Sig = nil }, proto.ErrBadSignature},
		{"a longer signature", func(e *proto.Envelope) { e.Signatures[0].Sig = append(e.Signatures[0].Sig, 0) }, proto.ErrBadSignature},
		{"the key's name", func(e *proto.Envelope) { e.Signatures[0].KeyID = "other" }, proto.ErrUnknownKey},
		{"the type", func(e *proto.Envelope) { e.PayloadType = proto.PayloadAssignment }, proto.ErrMalformed},
		{"the type's case", func(e *proto.Envelope) { e.PayloadType = "Application/vnd.kedge.release.v1+json" }, proto.ErrMalformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := proto.Seal(proto.PayloadRelease, []byte("hello"), k)
			tc.change(&e)
			if got, err := e.Open(proto.PayloadRelease, []proto.PublicKey{k.Public()}, 1); !errors.Is(err, tc.want) {
				t.Errorf("got %q, error %v, want %v", got, err, tc.want)
			}
		})
	}
}

func TestASignatureIsBoundToItsType(t *testing.T) {
	k := releaseKey(t)
	e := proto.Seal(proto.PayloadAssignment, []byte("hello"), k)
	e.PayloadType = proto.PayloadRelease // as if it had been signed as a release
	if _, err := e.Open(proto.PayloadRelease, []proto.PublicKey{k.Public()}, 1); !errors.Is(err, proto.ErrBadSignature) {
		t.Errorf("got error %v, want %v", err, proto.ErrBadSignature)
	}
}

func TestOpenReturnsACopy(t *testing.T) {
	k := releaseKey(t)
	e := proto.Seal(proto.PayloadRelease, []byte("hello"), k)
	got, err := e.Open(proto.PayloadRelease, []proto.PublicKey{k.Public()}, 1)
	if err != nil {
		t.Fatal(err)
	}
	got[0] = 'j'
	if string(e.Payload) != "hello" {
		t.Errorf("the envelope changed with what it returned: %q", e.Payload)
	}
}

// The zero PublicKey is 32 zero bytes, which are a point of order 4: a
// signature for it can be made without any secret. A configuration that holds
// one by accident must not open the door.
func TestNobodySignsForTheZeroKey(t *testing.T) {
	zero := make([]byte, ed25519.PublicKeySize)
	sig := make([]byte, ed25519.SignatureSize)
	sig[0] = 1 // R is the neutral element, S is 0
	for n := range 1000 {
		payload := fmt.Appendf(nil, `{"n":%d}`, n)
		msg := fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(proto.PayloadRelease), proto.PayloadRelease, len(payload), payload)
		if !ed25519.Verify(zero, msg, sig) {
			continue
		}
		e := proto.Envelope{PayloadType: proto.PayloadRelease, Payload: payload, Signatures: []proto.Signature{{Sig: sig}}}
		if _, err := e.Open(proto.PayloadRelease, []proto.PublicKey{{}}, 1); err == nil {
			t.Errorf("opened a forgery for the zero key: %s", payload)
		}
		return
	}
	t.Fatal("no forgery was found: does this test still know how?")
}

// A further signature changes nothing of what was signed, and nobody signs twice.
func TestCountersign(t *testing.T) {
	a, b, impostor := secretKey(t, "a", 1), secretKey(t, "b", 2), secretKey(t, "a", 9)
	first := proto.Seal(proto.PayloadRelease, []byte(`{"format":1}`), a)
	both := first.Countersign(b, a)
	if len(both.Signatures) != 2 || len(first.Signatures) != 1 {
		t.Fatalf("got %d signatures, and %d in the first one; want 2 and 1", len(both.Signatures), len(first.Signatures))
	}
	for _, k := range []proto.PublicKey{a.Public(), b.Public()} {
		if !both.SignedBy(k) {
			t.Errorf("not signed by %s", k)
		}
	}
	if first.SignedBy(b.Public()) || first.SignedBy(impostor.Public()) || first.SignedBy(proto.PublicKey{}) {
		t.Error("signed by a key that did not sign")
	}
	if _, err := both.Open(proto.PayloadRelease, []proto.PublicKey{a.Public(), b.Public()}, 2); err != nil {
		t.Error(err)
	}
}
