package hook

import (
	"bytes"
	"crypto/hmac"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// signingPrefix begins a signing token of GitLab, whose webhooks are signed as the
// specification Standard Webhooks says; the key follows it in base64.
const signingPrefix = "whsec_"

// maxAge is how far the time at which a webhook was signed may be from ours, either
// way: whoever has read one can send it again for so long.
const maxAge = 5 * time.Minute

// A secret is what a forge and the controller share.
type secret struct {
	key     []byte
	signing bool // it is a signing token, and its webhooks come signed or not at all
}

// readSecret returns the secret in a file, without white space around it.
func readSecret(kind Kind, path string) (secret, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return secret{}, err
	}
	s := secret{key: bytes.TrimSpace(text)}
	if token, found := bytes.CutPrefix(s.key, []byte(signingPrefix)); found && kind == GitLab {
		key, err := base64.StdEncoding.DecodeString(string(token))
		if err != nil { // which may quote the token
			return secret{}, fmt.Errorf("%s must hold a whole signing token, %s and base64", path, signingPrefix)
		}
		s = secret{key: key, signing: true}
	}
	if len(s.key) < minSecret {
		return secret{}, fmt.Errorf("%s must hold a secret of at least %d characters", path, minSecret)
	}
	return s, nil
}

// signedHead returns what a signature covers before the body.
func (s secret) signedHead(h http.Header) string {
	if !s.signing {
		return ""
	}
	return h.Get("webhook-id") + "." + h.Get("webhook-timestamp") + "."
}

// signed reports whether one of the signatures in h is sum, and not too old. There
// are several while the forge replaces its token.
func signed(h http.Header, sum []byte, now time.Time) bool {
	seconds, err := strconv.ParseInt(h.Get("webhook-timestamp"), 10, 64)
	good := err == nil && now.Sub(time.Unix(seconds, 0)).Abs() <= maxAge
	found := false
	for entry := range strings.FieldsSeq(h.Get("webhook-signature")) {
		text, _ := strings.CutPrefix(entry, "v1,")
		got, err := base64.StdEncoding.DecodeString(text)
		found = hmac.Equal(got, sum) && err == nil || found
	}
	return good && found
}
