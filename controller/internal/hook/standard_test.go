package hook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// signingToken is what GitLab shows of a webhook, and signingKey what is in it.
const (
	signingToken = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" //nolint:gosec // of a test
	otherToken   = "whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldY" //nolint:gosec // of a test
)

// signStandard returns the headers of a webhook that was signed at some time.
func signStandard(t *testing.T, token, id, body string, at time.Time) map[string]string {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(token, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + stamp + "." + body))
	return map[string]string{
		"webhook-id": id, "webhook-timestamp": stamp, "webhook-signature": "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)),
		"X-Gitlab-Event": "Push Hook",
	}
}

// newSigned returns the hooks of a GitLab with a signing token.
func newSigned(t *testing.T, token string) *hooks {
	t.Helper()
	h := newHooks(t, GitLab)
	if err := os.WriteFile(h.file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return h
}

// TestTheExampleOfStandardWebhooks is the one that its specification has.
func TestTheExampleOfStandardWebhooks(t *testing.T) {
	const id, stamp, body = "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", `{"test": 2432232314}`
	s, err := readSecret(GitLab, newSigned(t, signingToken).file)
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", stamp)
	h.Set("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(s.signedHead(h) + body))
	if !GitLab.verifies("", h, s, mac.Sum(nil), time.Unix(1614265330, 0)) {
		t.Error("it is refused")
	}
}

func TestASigningTokenOfGitLab(t *testing.T) {
	const push, other = `{"ref":"refs/heads/main"}`, `{"ref":"refs/heads/other"}`
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		with := func(h map[string]string, name, value string) map[string]string {
			h[name] = value
			return h
		}
		good := func() map[string]string { return signStandard(t, signingToken, "1", push, now) }
		for name, c := range map[string]struct {
			headers map[string]string
			status  int
		}{
			"signed":                     {good(), 202},
			"with a second signature":    {with(good(), "webhook-signature", "v1a,AAAA v1,AAAA "+good()["webhook-signature"]), 202},
			"of another token":           {signStandard(t, otherToken, "1", push, now), 401},
			"of another body":            {signStandard(t, signingToken, "1", other, now), 401},
			"of another message":         {with(good(), "webhook-id", "2"), 401},
			"of another time":            {with(good(), "webhook-timestamp", strconv.FormatInt(now.Unix()-1, 10)), 401},
			"sent again, just in time":   {signStandard(t, signingToken, "1", push, now.Add(-maxAge)), 202},
			"sent again":                 {signStandard(t, signingToken, "1", push, now.Add(-maxAge-time.Second)), 401},
			"signed in the future":       {signStandard(t, signingToken, "1", push, now.Add(maxAge+time.Second)), 401},
			"without a signature":        {with(good(), "webhook-signature", ""), 401},
			"without a time":             {with(good(), "webhook-timestamp", ""), 401},
			"with a time that is none":   {with(good(), "webhook-timestamp", "9223372036854775808"), 401},
			"the end of time":            {with(good(), "webhook-timestamp", "9223372036854775807"), 401},
			"no base64":                  {with(good(), "webhook-signature", "v1,%%%"), 401},
			"the token itself":           {map[string]string{"X-Gitlab-Token": signingToken}, 401},
			"the HMAC in GitHub's words": {map[string]string{"X-Hub-Signature-256": "sha256=" + sign(push)}, 401},
		} {
			h := newSigned(t, signingToken)
			if w := h.post(t, "main", push, c.headers); w.Code != c.status || h.looks.Load() != int64(map[int]int{202: 1}[c.status]) {
				t.Errorf("%s: status %d and %d looks, want %d", name, w.Code, h.looks.Load(), c.status)
			}
		}
	})
}

func TestASigningTokenThatIsNotWhole(t *testing.T) {
	for _, token := range []string{"whsec_", "whsec_%%%%%%%%%%%%%%%%%%%%%%%%", "whsec_MDEyMzQ1Njc4OWFi"} {
		h := newSigned(t, token)
		if w := h.post(t, "main", "{}", map[string]string{"X-Gitlab-Token": token}); w.Code != http.StatusServiceUnavailable {
			t.Errorf("%s: status %d, want 503", token, w.Code)
		}
		if said := h.said.String(); !strings.Contains(said, h.file) || len(token) > 6 && strings.Contains(said, token[6:]) {
			t.Errorf("%s: the log says %q, want it to name the file, and nothing of the token", token, said)
		}
	}
}
