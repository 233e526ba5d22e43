package proto_test

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"

	"kedge/proto"
)

func FuzzParsePin(f *testing.F) {
	fuzzText(f, proto.ParsePin, proto.Pin.String, regexp.MustCompile(`\Asha256:[A-Za-z0-9+/]{43}=\z`), proto.ErrInvalidPin,
		pin(f).String(), "sha256:", strings.Replace(pin(f).String(), "sha256", "sha512", 1), pin(f).String()[:30]+"\n"+pin(f).String()[30:])
}

func FuzzParseCacheToken(f *testing.F) {
	fuzzText(f, proto.ParseCacheToken, proto.CacheToken.Reveal, regexp.MustCompile(`\A[A-Za-z0-9._-]{1,256}\z`), proto.ErrInvalidCacheToken,
		cacheToken(f).Reveal(), "", "a b", "a\nb", "a\r\nX-Header: b", strings.Repeat("a", 257))
}

func FuzzParseToken(f *testing.F) {
	fuzzText(f, proto.ParseToken, proto.Token.Reveal, regexp.MustCompile(`\A[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.[A-Z2-7]{26}\z`), proto.ErrInvalidToken,
		"web1.ABCDEFGHIJKLMNOPQRSTUVWXYZ", "web1.ABCDEFGHIJKLMNOPQRSTUVWXYZ\n", "web1", ".ABCDEFGHIJKLMNOPQRSTUVWXYZ", "../web1.ABCDEFGHIJKLMNOPQRSTUVWXYZ")
}

func FuzzParseOperatorToken(f *testing.F) {
	good := "kedge_" + strings.Repeat("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 2)
	fuzzText(f, proto.ParseOperatorToken, proto.OperatorToken.Reveal, regexp.MustCompile(`\Akedge_[A-Z2-7]{52}\z`), proto.ErrInvalidOperatorToken,
		good, "", "kedge_", good+"\n", strings.ToLower(good), good[:40])
}

func FuzzParseEnrollChallenge(f *testing.F) {
	for _, text := range []string{`{"format":1,"nonce":"x"}`, `{"format":1}`, `{"format":2,"nonce":"x"}`, `{"nonce":1}`, `{`, ``} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := proto.ParseEnrollChallenge(b)
		if err == nil && c.Nonce == "" {
			t.Errorf("%q has no nonce", b)
		}
		if err != nil && !knownError(err) {
			t.Errorf("parse %q: got error %v", b, err)
		}
	})
}

// What opens was signed, and is within its limits.
func FuzzOpenStatement(f *testing.F) {
	for _, name := range []string{"reset.json", "withdrawals.json", "release.json", "assignment.json"} {
		f.Add(golden(f, name))
	}
	f.Add([]byte(`{"format":1,"serial":1,"releases":[""]}`))
	f.Add([]byte(`{"format":1,"releases":[]}`))
	f.Add([]byte(`{"format":2}`))
	tr := trust(f)
	f.Fuzz(func(t *testing.T, payload []byte) {
		withdrawals, err := proto.OpenWithdrawals(proto.Seal(proto.PayloadWithdrawals, payload, releaseKey(t)), tr.ReleaseKeys)
		if checkOpened(t, payload, err) && (withdrawals.Serial == 0 || len(withdrawals.Releases) > proto.MaxWithdrawals || withdrawals.Has(proto.Digest{})) {
			t.Errorf("withdrawals %+v from %q", withdrawals, payload)
		}
		reset, err := proto.OpenReset(proto.Seal(proto.PayloadReset, payload, controllerKey(t)), tr.ControllerKeys)
		if checkOpened(t, payload, err) && (reset.Host.IsZero() || reset.Challenge == "" || len(reset.Challenge) > proto.MaxChallenge) {
			t.Errorf("reset %+v from %q", reset, payload)
		}
		foreign := secretKey(t, "release-1", 9)
		if _, err := proto.OpenWithdrawals(proto.Seal(proto.PayloadWithdrawals, payload, foreign), tr.ReleaseKeys); err == nil {
			t.Errorf("opened what nobody signed: %q", payload)
		}
	})
}

// checkOpened reports whether a statement was opened, and checks why not.
func checkOpened(t *testing.T, payload []byte, err error) bool {
	t.Helper()
	if err == nil && len(payload) > proto.MaxDesired {
		t.Errorf("opened %d bytes", len(payload))
	}
	if err != nil && !knownError(err) {
		t.Errorf("open %q: got error %v", payload, err)
	}
	return err == nil
}

func knownError(err error) bool {
	return errors.Is(err, proto.ErrMalformed) || errors.Is(err, proto.ErrUnknownFormat) || errors.Is(err, proto.ErrOversized)
}

func FuzzParseEnrollRequest(f *testing.F) {
	f.Add([]byte(`{"format":1,"nonce":"a\nb","host":"web1","public_key":"U","signature":"AA=="}`))
	fuzzMessage(f, "enroll-request.json", proto.MaxEnroll, proto.ParseEnrollRequest, proto.EnrollRequest.Encode, func(r proto.EnrollRequest) proto.HostName {
		if bytes.Count(r.Statement(), []byte("\n")) != 5 { // one line for each thing that is signed
			return proto.HostName{}
		}
		return r.Host
	})
}

func FuzzParseEnrollReply(f *testing.F) {
	anyHost := host(f, "web1") // who asked knows who it is
	fuzzMessage(f, "enroll-reply.json", proto.MaxEnroll, proto.ParseEnrollReply, proto.EnrollReply.Encode, func(proto.EnrollReply) proto.HostName { return anyHost })
}

func FuzzParseAccess(f *testing.F) {
	anyHost := host(f, "web1") // there is none in it
	fuzzMessage(f, "access.json", 64<<10, proto.ParseAccess, proto.Access.Encode, func(proto.Access) proto.HostName { return anyHost })
}
