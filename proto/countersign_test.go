package proto_test

import (
	"crypto/rand"
	"fmt"
	"testing"

	"kedge/proto"
)

// TestCountersignKeepsAnEnvelopeReadable over more rotations than it has room for.
func TestCountersignKeepsAnEnvelopeReadable(t *testing.T) {
	var newest, before proto.SecretKey
	var e proto.Envelope
	for i := range 3 * proto.MaxSignatures {
		key, err := proto.GenerateKey(fmt.Sprintf("key-%d", i), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			e = proto.Seal("x", []byte("payload"), key)
		}
		before, newest = newest, key
		if i > 0 {
			e = e.Countersign(before, newest)
		}
		if len(e.Signatures) > proto.MaxSignatures {
			t.Fatalf("after %d keys it has %d signatures", i+1, len(e.Signatures))
		}
	}
	if !e.SignedBy(newest.Public()) || !e.SignedBy(before.Public()) || len(e.Signatures) != proto.MaxSignatures {
		t.Errorf("it has %d signatures, want %d, of the keys that are held among them", len(e.Signatures), proto.MaxSignatures)
	}
}
