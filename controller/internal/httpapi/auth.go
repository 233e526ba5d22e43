package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"kedge/controller/internal/client"
	"kedge/proto"
	"kedge/proto/bus"
)

// How many refusals within [client.Window] are explained, and logged: of everybody, and
// of one client. Beyond that there is a short answer, and nothing in the log. A token that
// counts lets its bearer in all the same: nobody keeps out whoever is behind the same
// address, and of 260 bits nobody guesses one.
const (
	failuresOfAll = 600
	failuresOfOne = 30
)

// errNoToken is what is said to whoever shows none.
var errNoToken = errors.New("a call needs the token of an operator (Authorization: Bearer kedge_…); kedge operator token makes one")

// authenticate returns who calls.
func (h *Handler) authenticate(w http.ResponseWriter, r *http.Request) (proto.Operator, error) {
	t, err := bearer(r)
	var op proto.Operator
	if err == nil {
		op, err = h.o.Bearer(t, h.o.Now())
	}
	if err == nil {
		return op, nil
	}
	challenge := `Bearer realm="kedge"`
	if !errors.Is(err, errNoToken) {
		challenge += fmt.Sprintf(`, error="invalid_token", error_description=%q`, err)
	}
	w.Header().Set("WWW-Authenticate", challenge)
	from := client.Address(r)
	if !h.failures.Allow(from, h.o.Now()) {
		h.o.Refused(codeTooMany)
		return proto.Operator{}, bus.Errorf(codeTooMany, "too many calls from here without a token that counts; try again in a minute")
	}
	h.o.Refused(codeUnauthorized)
	h.o.Log.WarnContext(r.Context(), "call without a token that counts", "from", from, "operator", op.Name, "path", r.URL.Path, "err", err)
	return proto.Operator{}, bus.Errorf(codeUnauthorized, "%v", err)
}

// bearer returns the token that a request shows. Errors do not hold it.
func bearer(r *http.Request) (proto.OperatorToken, error) {
	shown := r.Header.Values("Authorization")
	if len(shown) == 0 {
		return proto.OperatorToken{}, errNoToken
	}
	scheme, text, _ := strings.Cut(shown[0], " ")
	if len(shown) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return proto.OperatorToken{}, errNoToken
	}
	return proto.ParseOperatorToken(strings.TrimSpace(text))
}

// authorize returns nil if op may make the call.
func (h *Handler) authorize(w http.ResponseWriter, r *http.Request, op proto.Operator, e proto.Endpoint) error {
	if op.Role.Includes(e.Role()) {
		return nil
	}
	h.o.Refused(codeForbidden)
	from := client.Address(r)
	if h.failures.Allow(from, h.o.Now()) {
		h.o.Log.WarnContext(r.Context(), "call that the role does not allow", "endpoint", string(e), "operator", op.Name, "role", op.Role, "from", from)
	}
	w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="kedge", error="insufficient_scope", scope=%q`, e.Role()))
	return bus.Errorf(codeForbidden, "%s needs the role %s, and this token has %s", e.Name(), e.Role(), op.Role)
}
