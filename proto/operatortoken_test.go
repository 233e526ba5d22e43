package proto_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"kedge/proto"
)

func TestOperatorToken(t *testing.T) {
	a, b := proto.NewOperatorToken(), proto.NewOperatorToken()
	parsed, err := proto.ParseOperatorToken(a.Reveal())
	if err != nil || parsed != a || parsed.Hash() != a.Hash() {
		t.Errorf("parsed %v, %v", parsed, err)
	}
	if a == b || a.Hash() == b.Hash() || len(a.Hash()) != 64 {
		t.Errorf("two tokens are alike: hashes %s and %s", a.Hash(), b.Hash())
	}
	for _, text := range []string{a.String(), fmt.Sprintf("%v %+v %#v %s", a, a, a, a)} {
		if strings.Contains(text, a.Reveal()[10:]) {
			t.Errorf("%q tells the secret", text)
		}
	}
	for name, s := range map[string]string{
		"nothing":              "",
		"no prefix":            strings.TrimPrefix(a.Reveal(), "kedge_"),
		"too short":            a.Reveal()[:len(a.Reveal())-1],
		"too long":             a.Reveal() + "A",
		"small letters":        strings.ToLower(a.Reveal()),
		"something at the end": a.Reveal()[:len(a.Reveal())-1] + "\n",
		"one of an enrolment":  proto.NewToken(host(t, "web1")).Reveal(),
	} {
		if _, err := proto.ParseOperatorToken(s); !errors.Is(err, proto.ErrInvalidOperatorToken) || s != "" && strings.Contains(err.Error(), s) {
			t.Errorf("%s: error = %v", name, err)
		}
	}
}
