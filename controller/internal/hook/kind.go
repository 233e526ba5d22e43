package hook

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A Kind is a forge's way to prove that a webhook is its own. Values are in
// configurations.
type Kind string

// The kinds of webhooks.
const (
	GitHub  Kind = "github"  // X-Hub-Signature-256
	GitLab  Kind = "gitlab"  // X-Gitlab-Token, which is the secret itself; or a signature, if that is a signing token
	Gitea   Kind = "gitea"   // X-Gitea-Signature
	Forgejo Kind = "forgejo" // X-Forgejo-Signature, or Gitea's
	HMAC    Kind = "hmac"    // a header of one's own choice, with the HMAC-SHA256 of the body in hex
)

// Kinds returns every kind.
func Kinds() []Kind { return []Kind{GitHub, GitLab, Gitea, Forgejo, HMAC} }

// UnmarshalText implements encoding.TextUnmarshaler. Empty is no kind.
func (k *Kind) UnmarshalText(b []byte) error {
	if len(b) > 0 && !slices.Contains(Kinds(), Kind(b)) {
		return fmt.Errorf("must be one of github, gitlab, gitea, forgejo, hmac, got %q", b)
	}
	*k = Kind(b)
	return nil
}

// signatures returns the headers that may hold the signature.
func (k Kind) signatures(own string) []string {
	switch k {
	case GitHub:
		return []string{"X-Hub-Signature-256"}
	case Gitea:
		return []string{"X-Gitea-Signature"}
	case Forgejo:
		return []string{"X-Forgejo-Signature", "X-Gitea-Signature"}
	case HMAC:
		return []string{own}
	case GitLab:
	}
	return nil
}

// event returns the header that names the event, and which of them is a push.
func (k Kind) event() (header, push string) {
	switch k {
	case GitHub:
		return "X-GitHub-Event", "push"
	case GitLab:
		return "X-Gitlab-Event", "Push Hook"
	case Gitea:
		return "X-Gitea-Event", "push"
	case Forgejo:
		return "X-Forgejo-Event", "push"
	case HMAC:
	}
	return "", ""
}

// verifies reports whether a request with these headers, whose body has that
// HMAC-SHA256 under the secret, after its signed head, is the forge's own. It takes
// as long whatever is wrong.
func (k Kind) verifies(own string, h http.Header, s secret, sum []byte, now time.Time) bool {
	switch {
	case s.signing:
		return signed(h, sum, now)
	case k == GitLab:
		got, want := sha256.Sum256([]byte(h.Get("X-Gitlab-Token"))), sha256.Sum256(s.key)
		return subtle.ConstantTimeCompare(got[:], want[:]) == 1
	}
	for _, name := range k.signatures(own) {
		if hmac.Equal(parseSignature(h.Get(name)), sum) {
			return true
		}
	}
	return false
}

// parseSignature returns the bytes of a signature, "sha256=" and hex or hex alone;
// nil if it is none.
func parseSignature(text string) []byte {
	sum, err := hex.DecodeString(strings.TrimPrefix(text, "sha256="))
	if err != nil || len(sum) != sha256.Size {
		return nil
	}
	return sum
}
