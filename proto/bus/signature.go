package bus

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"kedge/proto"
)

// Headers in which a call says by itself who makes it, for a controller that does not
// believe the server: its key, when, a number that it uses once, and the key's signature
// of all that, the subject and the body.
const (
	keyHeader       = "Kedge-Key"
	timeHeader      = "Kedge-Time"
	nonceHeader     = "Kedge-Nonce"
	signatureHeader = "Kedge-Signature"
)

const (
	// maxSkew is how far the clock of whoever calls may be from the controller's, and so
	// for how long a call is remembered.
	maxSkew = 2 * time.Minute

	// maxRemembered bounds that memory, for each who may make a call: nobody else is in
	// it, and nobody takes the place of others. So does maxNonce, in bytes.
	maxRemembered = 1 << 14
	maxNonce      = 64
)

// sign has m say who sends it.
func (c credentials) sign(m *nats.Msg, now time.Time) error {
	m.Header.Set(keyHeader, c.publicKey)
	m.Header.Set(timeHeader, now.UTC().Format(time.RFC3339Nano))
	m.Header.Set(nonceHeader, rand.Text())
	signature, err := c.pair.Sign(statement(m.Subject, m.Header.Get, m.Data))
	if err != nil {
		return err
	}
	m.Header.Set(signatureHeader, base64.StdEncoding.EncodeToString(signature))
	return nil
}

// statement returns what is signed of a call.
func statement(subject string, header func(string) string, body []byte) []byte {
	sum := sha256.Sum256(body)
	return []byte(strings.Join([]string{
		"kedge-call-v1", subject, header(keyHeader), header(timeHeader), header(nonceHeader), hex.EncodeToString(sum[:]),
	}, "\n"))
}

// A gatekeeper lets calls in that an operator signed, each once.
type gatekeeper struct {
	signer func(publicKey string) (proto.Operator, error)
	now    func() time.Time
	began  time.Time // of what came before nothing is remembered

	mu   sync.Mutex
	seen map[string]map[string]time.Time // the calls of the last minutes, by key and number
}

// admit returns who makes a call to e, or an [*APIError].
func (g *gatekeeper) admit(e proto.Endpoint, header func(string) string, body []byte) (proto.Operator, error) {
	publicKey := header(keyHeader)
	if publicKey == "" {
		return proto.Operator{}, Errorf(CodeRefused, "this controller takes no call on the word of a NATS server of somebody else's: it has to be signed, as kedge does")
	}
	signature, err := base64.StdEncoding.DecodeString(header(signatureHeader))
	if err != nil || !nkeys.IsValidPublicUserKey(publicKey) || len(header(nonceHeader)) > maxNonce {
		return proto.Operator{}, errForged
	}
	key, err := nkeys.FromPublicKey(publicKey)
	if err != nil || key.Verify(statement(e.Subject(), header, body), signature) != nil {
		return proto.Operator{}, errForged
	}
	op, err := g.signer(publicKey)
	if err != nil {
		return proto.Operator{}, Errorf(CodeRefused, "the key %s, which signed the call, %v", publicKey, err)
	}
	if !op.Role.Includes(e.Role()) {
		return proto.Operator{}, Errorf(CodeRefused, "%s needs the role %s, and %s has %s", e.Name(), e.Role(), op.Name, op.Role)
	}
	at, err := time.Parse(time.RFC3339Nano, header(timeHeader))
	if err != nil {
		return proto.Operator{}, errForged
	}
	return op, g.once(publicKey, header(nonceHeader), at)
}

var errForged = Errorf(CodeRefused, "the signature of the call is not good")

// once returns nil for a call that is made now, and was not seen before.
func (g *gatekeeper) once(publicKey, nonce string, at time.Time) error {
	now := g.now()
	switch off := now.Sub(at); {
	case off.Abs() > maxSkew:
		return Errorf(CodeRefused, "the call was made at %s, and here it is %s: one of the two clocks is wrong", at.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	case at.Before(g.began):
		return unbegun("the call was made before this controller began to answer: make it again")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	seen := g.seen[publicKey]
	if seen == nil {
		seen = map[string]time.Time{}
		g.seen[publicKey] = seen
	}
	if _, before := seen[nonce]; before {
		return Errorf(CodeRefused, "the call was made before")
	}
	if len(seen) >= maxRemembered {
		maps.DeleteFunc(seen, func(_ string, at time.Time) bool { return now.Sub(at) > maxSkew })
	}
	if len(seen) >= maxRemembered {
		return unbegun("%d calls were made with this key in the last minutes", maxRemembered)
	}
	seen[nonce] = at
	return nil
}
