package proto_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"kedge/proto"
)

// Keys as `nix key generate-secret --key-name kedge-test-1` of Nix 2.26.3 and
// `nix key convert-secret-to-public` printed them.
const (
	nixSecret = "kedge-test-1:5WRlhxNQuEsN8E0aaDpXXepwLKpN0O7LMTjPUpa/BrIqJTlH2vVjNKkgqqsp3GlUVOgTwJsMboN9/qHGDyl2ow=="
	nixPublic = "kedge-test-1:KiU5R9r1YzSpIKqrKdxpVFToE8CbDG6Dff6hxg8pdqM="
)

func TestKeysThatNixMade(t *testing.T) {
	secret := parsed(t, proto.ParseSecretKey, nixSecret)
	if got := secret.Reveal(); got != nixSecret {
		t.Errorf("the secret key changed")
	}
	if got := secret.Public().String(); got != nixPublic {
		t.Errorf("public key: got %s, want %s", got, nixPublic)
	}
	if got := parsed(t, proto.ParsePublicKey, nixPublic); got != secret.Public() {
		t.Errorf("parse public key: got %s, want %s", got, secret.Public())
	}
	if got := secret.Public().Name(); got != "kedge-test-1" {
		t.Errorf("name: got %s, want kedge-test-1", got)
	}
}

func TestParsePublicKey(t *testing.T) {
	encoded := strings.TrimPrefix(nixPublic, "kedge-test-1:")
	for _, c := range []struct {
		name, text, want string // want "" is a refusal
	}{
		{"accepts Nix's", nixPublic, nixPublic},
		{"accepts white space around it", "\n  " + nixPublic + "\n", nixPublic},
		{"accepts a name with dots and hyphens", "cache.example.org-1:" + encoded, "cache.example.org-1:" + encoded},
		{"rejects nothing", "", ""},
		{"rejects a missing name", encoded, ""},
		{"rejects an empty name", ":" + encoded, ""},
		{"rejects a name with a space", "a b:" + encoded, ""},
		{"rejects a name with a control character", "a\x1b[31m:" + encoded, ""},
		{"rejects a name of 129 characters", strings.Repeat("a", 129) + ":" + encoded, ""},
		{"rejects a second colon", "a:b:" + encoded, ""},
		{"rejects base64 without padding", strings.TrimSuffix(nixPublic, "="), ""},
		{"rejects base64 of another alphabet", strings.ReplaceAll(nixSecret, "/", "_"), ""},
		{"rejects bits beyond the last byte", strings.TrimSuffix(nixPublic, "M=") + "N=", ""},
		{"rejects a line end inside", nixPublic[:20] + "\n" + nixPublic[20:], ""},
		{"rejects 31 bytes", "a:" + strings.Repeat("A", 40) + "AA==", ""},
		{"rejects a secret key", nixSecret, ""},
		{"rejects a placeholder of zeros", "a:" + strings.Repeat("A", 43) + "=", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := proto.ParsePublicKey(c.text)
			if (err == nil) != (c.want != "") || err != nil && !errors.Is(err, proto.ErrInvalidKey) {
				t.Fatalf("parse %q: got error %v", c.text, err)
			}
			if got.String() != c.want {
				t.Errorf("parse %q: got %s, want %s", c.text, got, c.want)
			}
		})
	}
}

func TestParseSecretKey(t *testing.T) {
	for _, c := range []struct {
		name, text string
		ok         bool
	}{
		{"accepts Nix's", nixSecret, true},
		{"accepts white space around it, as in a file", " " + nixSecret + "\n", true},
		{"rejects nothing", "", false},
		{"rejects a public key", nixPublic, false},
		{"rejects a line end inside", nixSecret[:20] + "\n" + nixSecret[20:], false},
		{"rejects halves of different keys", "a:" + strings.Repeat("A", 85) + "w==", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := proto.ParseSecretKey(c.text)
			if (err == nil) != c.ok || err != nil && !errors.Is(err, proto.ErrInvalidKey) {
				t.Fatalf("got error %v", err)
			}
			if got.IsZero() != (err != nil) {
				t.Errorf("got a key %v beside the error %v", got, err)
			}
			if err != nil && len(c.text) > 40 && strings.Contains(err.Error(), c.text[len(c.text)-20:]) {
				t.Errorf("the error holds the key: %v", err)
			}
		})
	}
}

func TestGenerateKeyMakesKeysThatParse(t *testing.T) {
	k, err := proto.GenerateKey("controller-1", bytes.NewReader(make([]byte, 64)))
	if err != nil {
		t.Fatal(err)
	}
	if got := parsed(t, proto.ParseSecretKey, k.Reveal()); got.Public() != k.Public() {
		t.Errorf("parse what was generated: got %s, want %s", got.Public(), k.Public())
	}
	if _, err := proto.GenerateKey("two words", nil); !errors.Is(err, proto.ErrInvalidKey) {
		t.Errorf("generate a key with a bad name: got error %v, want %v", err, proto.ErrInvalidKey)
	}
	if _, err := proto.GenerateKey("a", bytes.NewReader(nil)); err == nil {
		t.Error("generate a key without randomness: got no error")
	}
}

// However a secret key is printed, the secret stays out.
func TestSecretKeyIsNotPrinted(t *testing.T) {
	k := parsed(t, proto.ParseSecretKey, nixSecret)
	inside := struct{ key proto.SecretKey }{k}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("key", "key", k, "inside", inside)
	slog.New(slog.NewTextHandler(&log, nil)).Info("key", "key", k, "inside", inside)
	printed := log.String()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		printed += fmt.Sprintf(verb+verb+verb+verb, k, &k, inside, &inside)
	}
	_, err := json.Marshal(k)
	if err == nil {
		t.Error("encode a secret key as JSON: got no error")
	}
	printed += fmt.Sprint(err)
	// the first bytes of the seed, as the verbs would print them
	for _, secret := range []string{"5WRlhx", "e56465", "229 100 101", "0xe5, 0x64", "[]byte", "\xe5\x64"} {
		if strings.Contains(printed, secret) {
			t.Errorf("%q is in what was printed:\n%s", secret, printed)
		}
	}
	if !strings.Contains(printed, "kedge-test-1:(secret)") {
		t.Errorf("the name is not in what was printed:\n%s", printed)
	}
}

func TestTheZeroKeysAreNoKeys(t *testing.T) {
	var s proto.SecretKey
	var p proto.PublicKey
	if !s.IsZero() || !p.IsZero() || s.Public() != p || s.Reveal() != "" || p.String() != "" {
		t.Errorf("got secret %v and public %v", s, p)
	}
	if e := proto.Seal(proto.PayloadRelease, nil, s); len(e.Signatures) != 0 {
		t.Errorf("seal with no key: got %d signatures, want none", len(e.Signatures))
	}
}
