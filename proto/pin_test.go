package proto

import (
	"errors"
	"strings"
	"testing"
)

func TestParsePin(t *testing.T) {
	good := "sha256:" + strings.Repeat("A", 43) + "="
	for s, ok := range map[string]bool{
		good:                                 true,
		"":                                   false,
		good[7:]:                             false,
		"sha1:" + good[7:]:                   false,
		good + "A":                           false,
		good[:20] + "\n" + good[20:]:         false,
		strings.Replace(good, "A=", "B=", 1): false, // other bits that say the same
		"sha256:" + strings.Repeat("A", 40):  false,
	} {
		p, err := ParsePin(s)
		if (err == nil) != ok || ok && p.String() != s || !ok && !errors.Is(err, ErrInvalidPin) {
			t.Errorf("ParsePin(%q) = %q, %v; want ok: %t", s, p, err, ok)
		}
	}
}
