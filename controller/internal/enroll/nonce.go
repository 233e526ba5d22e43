package enroll

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"
)

const (
	nonceLifetime = 2 * time.Minute
	nonceTime     = 8
	nonceRandom   = 16
)

// nonces makes challenges, and knows them again without remembering any.
type nonces struct{ key []byte }

func newNonces() nonces {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails
	return nonces{key: key}
}

// make returns a challenge.
func (n nonces) make(now time.Time) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(max(now.Unix(), 0))) //nolint:gosec // not negative
	b = append(b, make([]byte, nonceRandom)...)
	_, _ = rand.Read(b[nonceTime:]) // never fails
	return base64.RawURLEncoding.EncodeToString(append(b, n.sum(b)...))
}

// valid reports whether s was made here, not long ago.
func (n nonces) valid(s string, now time.Time) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != nonceTime+nonceRandom+sha256.Size {
		return false
	}
	said, sum := b[:nonceTime+nonceRandom], b[nonceTime+nonceRandom:]
	if !hmac.Equal(sum, n.sum(said)) {
		return false
	}
	age := now.Sub(time.Unix(int64(binary.BigEndian.Uint64(said)), 0)) //nolint:gosec // made by make
	return age > -nonceLifetime && age < nonceLifetime
}

func (n nonces) sum(b []byte) []byte {
	m := hmac.New(sha256.New, n.key)
	_, _ = m.Write(b) // never fails
	return m.Sum(nil)
}
