package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"kedge/controller"
	"kedge/controller/controllertest"
	"kedge/proto"
	"kedge/proto/bus"
)

// box is a controller that runs, with the tokens of those who call it.
type box struct {
	*controllertest.Running
	world  *controllertest.World
	admin  *bus.Conn
	client *http.Client
	tokens map[string]string // by whose
	asked  int
}

// startBox starts a controller with TLS that believes what this machine says of where
// a request comes from.
func startBox(t *testing.T) *box {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // Cleanup ends it
	world := &controllertest.World{}
	r, err := controllertest.Start(ctx, t.TempDir(), world, t.Output(), controllertest.WithTLS, func(c *controller.Config) {
		c.HTTP.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
	})
	conn, err := bus.Connect(ctx, bus.Options{
		Servers: []string{r.NATSURL()}, Name: "test", Credentials: r.AdminCredentials(), Outbound: r.Outbound(), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if err := conn.AwaitConnected(t.Context()); err != nil {
		t.Fatal(err)
	}
	transport, err := r.Outbound().Transport()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transport.CloseIdleConnections)
	b := &box{Running: r, world: world, admin: conn, client: &http.Client{Transport: transport}, tokens: map[string]string{"nobody": ""}}
	for _, role := range []proto.Role{proto.RoleViewer, proto.RoleOperator, proto.RoleAdmin} {
		b.token(t, string(role), role, time.Hour)
	}
	b.token(t, "expired", proto.RoleAdmin, time.Nanosecond)
	b.token(t, "revoked", proto.RoleAdmin, 0)
	if _, err := bus.Call[proto.OperatorRevokeRequest, proto.OperatorRevokeReply](t.Context(), conn, proto.EndpointOperatorRevoke, proto.OperatorRevokeRequest{Name: "revoked"}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *box) token(t *testing.T, name string, role proto.Role, lifetime time.Duration) {
	t.Helper()
	token := proto.NewOperatorToken()
	_, err := bus.Call[proto.OperatorTokenRequest, proto.OperatorTokenReply](t.Context(), b.admin, proto.EndpointOperatorToken,
		proto.OperatorTokenRequest{Name: name, Role: role, Hash: token.Hash(), For: lifetime})
	if err != nil {
		t.Fatal(err)
	}
	b.tokens[name] = token.Reveal()
}

// ask makes a call with the token of somebody, from an address of its own, which is
// returned with the answer.
func (b *box) ask(t *testing.T, whose string, r *http.Request) (answer *http.Response, from string) {
	t.Helper()
	b.asked++
	from = fmt.Sprintf("192.0.2.%d", b.asked%256)
	r = r.Clone(t.Context())
	r.RequestURI, r.URL.Scheme, r.URL.Host = "", "https", b.HTTPAddress()
	r.Header.Set("X-Forwarded-For", from)
	r.Header.Del("Authorization")
	if token := b.tokens[whose]; token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := b.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		t.Fatal(err)
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	return answer, from
}

// TestWhoMayCallWhatOverHTTP: every call of the API, by everybody there is, on a real
// controller; every answer is as it is described.
func TestWhoMayCallWhatOverHTTP(t *testing.T) {
	b, v := startBox(t), newValidator(t)
	roles := map[string]proto.Role{"viewer": proto.RoleViewer, "operator": proto.RoleOperator, "admin": proto.RoleAdmin}
	for _, r := range everyCall(t, nil).Routes() {
		for _, who := range []string{"nobody", "expired", "revoked", "viewer", "operator", "admin"} {
			t.Run(r.Endpoint.Name()+" by "+who, func(t *testing.T) {
				req := requestOf(t, r, proto.RoleAdmin)
				answer, _ := b.ask(t, who, req)
				challenge := answer.Header.Get("WWW-Authenticate")
				switch role := roles[who]; {
				case role == "":
					if answer.StatusCode != http.StatusUnauthorized || challenge == "" {
						t.Errorf("got %s, WWW-Authenticate %q", answer.Status, challenge)
					}
				case !role.Includes(r.Endpoint.Role()):
					if answer.StatusCode != http.StatusForbidden || !strings.Contains(challenge, fmt.Sprintf("scope=%q", r.Endpoint.Role())) {
						t.Errorf("got %s, WWW-Authenticate %q", answer.Status, challenge)
					}
				default:
					switch answer.StatusCode {
					case http.StatusUnauthorized, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType, http.StatusInternalServerError:
						t.Errorf("got %s", answer.Status)
					}
				}
				v.response(t, req, answer)
			})
		}
	}
}

// TestTheAuditHasWhoCalledOverHTTP: the name, the hash of the token, and the address of
// the client behind a proxy.
func TestTheAuditHasWhoCalledOverHTTP(t *testing.T) {
	b := startBox(t)
	answer, from := b.ask(t, "operator", reconcile(""))
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("got %s", answer.Status)
	}
	audit, err := bus.Call[proto.AuditRequest, proto.AuditReply](t.Context(), b.admin, proto.EndpointAudit, proto.AuditRequest{Last: true, Limit: 1})
	if err != nil || len(audit.Entries) != 1 {
		t.Fatalf("got %+v, %v", audit, err)
	}
	token, err := proto.ParseOperatorToken(b.tokens["operator"])
	if err != nil {
		t.Fatal(err)
	}
	if e := audit.Entries[0].Entry; e.Act != proto.ActReconcile || e.Actor != "operator" || e.Key != token.Hash() || e.From != from {
		t.Errorf("got %+v, want a reconcile by operator with %s from %s", e, token.Hash(), from)
	}
}

// TestATokenIsOutAtOnce: also on a connection that was open before.
func TestATokenIsOutAtOnce(t *testing.T) {
	b := startBox(t)
	look, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://build.example"+proto.APIPath+"fleet", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if answer, _ := b.ask(t, "viewer", look); answer.StatusCode != http.StatusOK {
		t.Fatalf("before: got %s", answer.Status)
	}
	if _, err := bus.Call[proto.OperatorRevokeRequest, proto.OperatorRevokeReply](t.Context(), b.admin, proto.EndpointOperatorRevoke, proto.OperatorRevokeRequest{Name: "viewer"}); err != nil {
		t.Fatal(err)
	}
	if answer, _ := b.ask(t, "viewer", look); answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("after: got %s", answer.Status)
	}
}
