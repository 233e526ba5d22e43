package nix

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// base32Digits leave out e, o, u and t (nix: libutil/hash.cc).
const base32Digits = "0123456789abcdfghijklmnpqrsvwxyz"

// bits is how many of them a digit holds.
const bits = 5

// base32 returns hash in Nix's own base 32, whose first digit holds the last
// bits.
func base32(hash []byte) string {
	n := (len(hash)*8 + bits - 1) / bits
	text := make([]byte, n)
	for digit := range n {
		i, shift := digit*bits/8, digit*bits%8
		v := hash[i] >> shift
		if i+1 < len(hash) {
			v |= hash[i+1] << (8 - shift)
		}
		text[n-1-digit] = base32Digits[v&(1<<bits-1)]
	}
	return string(text)
}

const (
	narHashPrefix = "sha256:"
	narHashBytes  = 32
)

// errNarHash says that a text is no hash of a NAR.
var errNarHash = errors.New("invalid hash of a NAR")

// narHashOf returns a NAR's hash as everybody writes it, "sha256:<base 32>", from
// how the daemon does, in hexadecimal digits.
func narHashOf(digits string) (string, error) {
	hash, err := hex.DecodeString(digits)
	if err != nil || len(hash) != narHashBytes {
		return "", fmt.Errorf("%w: %q", errNarHash, digits)
	}
	return narHashPrefix + base32(hash), nil
}

// hexOf is the other way round.
func hexOf(narHash string) (string, error) {
	text, ok := strings.CutPrefix(narHash, narHashPrefix)
	var hash [narHashBytes]byte
	for n := range len(text) {
		digit := strings.IndexByte(base32Digits, text[len(text)-1-n])
		i, shift := n*bits/8, n*bits%8
		if digit < 0 || i >= narHashBytes {
			ok = false
			break
		}
		hash[i] |= byte(digit << shift)
		if rest := byte(digit >> (8 - shift)); i+1 < narHashBytes {
			hash[i+1] |= rest
		}
	}
	if !ok || narHashPrefix+base32(hash[:]) != narHash {
		return "", fmt.Errorf("%w: %q", errNarHash, narHash)
	}
	return hex.EncodeToString(hash[:]), nil
}
