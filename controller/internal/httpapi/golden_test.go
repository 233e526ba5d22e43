package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kedge/controller/internal/httpapi"
	"kedge/docs/api"
	"kedge/proto"
	"kedge/proto/bus"
)

// call is a call that reached its function.
type call struct {
	endpoint proto.Endpoint
	caller   bus.Caller
	request  any
}

// everyCall returns a handler that answers every call as the golden files of proto do,
// and says to calls, unless that is nil, what reached it.
func everyCall(t *testing.T, calls chan<- call) *httpapi.Handler {
	t.Helper()
	h := httpapi.New(httpapi.Options{
		Bearer: bearer, Description: api.OpenAPI(), Refused: func(bus.Code) {}, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	on := stand{t: t, h: h, calls: calls}
	answer[proto.FleetRequest, proto.FleetReply](on, proto.EndpointFleet)
	answer[proto.HostRequest, proto.HostReply](on, proto.EndpointHost)
	answer[proto.EventsRequest, proto.EventsReply](on, proto.EndpointEvents)
	answer[proto.HostLogRequest, proto.HostLogReply](on, proto.EndpointHostLog)
	answer[proto.LeaseListRequest, proto.LeaseListReply](on, proto.EndpointLeaseList)
	answer[proto.BuildLogRequest, proto.BuildLogReply](on, proto.EndpointBuildLog)
	answer[proto.RolloutListRequest, proto.RolloutListReply](on, proto.EndpointRolloutList)
	answer[proto.RolloutShowRequest, proto.RolloutShowReply](on, proto.EndpointRolloutShow)
	answer[proto.RolloutPlanRequest, proto.RolloutPlanReply](on, proto.EndpointRolloutPlan)
	answer[proto.RolloutActRequest, proto.RolloutActReply](on, proto.EndpointRolloutAct)
	answer[proto.WithdrawalsRequest, proto.WithdrawalsReply](on, proto.EndpointWithdrawals)
	answer[proto.KeyStatusRequest, proto.KeyStatusReply](on, proto.EndpointKeyStatus)
	answer[proto.AuditRequest, proto.AuditReply](on, proto.EndpointAudit)
	answer[proto.ReconcileRequest, proto.ReconcileReply](on, proto.EndpointReconcile)
	answer[proto.HostAddRequest, proto.HostAddReply](on, proto.EndpointHostAdd)
	answer[proto.HostRevokeRequest, proto.HostRevokeReply](on, proto.EndpointHostRevoke)
	answer[proto.HostTokenRequest, proto.HostTokenReply](on, proto.EndpointHostToken)
	answer[proto.HostResetRequest, proto.HostResetReply](on, proto.EndpointHostReset)
	answer[proto.OperatorAddRequest, proto.OperatorAddReply](on, proto.EndpointOperatorAdd)
	answer[proto.OperatorTokenRequest, proto.OperatorTokenReply](on, proto.EndpointOperatorToken)
	answer[proto.OperatorListRequest, proto.OperatorListReply](on, proto.EndpointOperatorList)
	answer[proto.OperatorRevokeRequest, proto.OperatorRevokeReply](on, proto.EndpointOperatorRevoke)
	answer[proto.ExternalConfigRequest, proto.ExternalConfigReply](on, proto.EndpointNATSConfig)
	answer[proto.PublishRequest, proto.PublishReply](on, proto.EndpointPublish)
	answer[proto.WithdrawRequest, proto.WithdrawReply](on, proto.EndpointWithdraw)
	answer[proto.KeyAddRequest, proto.KeyAddReply](on, proto.EndpointKeyAdd)
	answer[proto.KeyRetireRequest, proto.KeyRetireReply](on, proto.EndpointKeyRetire)
	answer[proto.LeaseFreeRequest, proto.LeaseFreeReply](on, proto.EndpointLeaseFree)
	return h
}

// stand is where calls are answered.
type stand struct {
	t     *testing.T
	h     *httpapi.Handler
	calls chan<- call
}

func answer[Req, Rep any](s stand, e proto.Endpoint) {
	var reply Rep
	if err := json.Unmarshal(golden(s.t, e, "reply"), &reply); err != nil {
		s.t.Fatal(err)
	}
	httpapi.Handle(s.h, e, func(_ context.Context, c bus.Caller, req Req) (Rep, error) {
		if s.calls != nil {
			s.calls <- call{e, c, req}
		}
		return reply, nil
	})
}

// golden returns the example of a call's request or reply.
func golden(t *testing.T, e proto.Endpoint, kind string) []byte {
	t.Helper()
	name := e.Name()
	if e == proto.EndpointNATSConfig {
		name = "external-config"
	}
	b, err := os.ReadFile(filepath.Join("../../../proto/testdata", name+"-"+kind+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The tokens of the tests.
var tokens = map[proto.Role]proto.OperatorToken{
	proto.RoleViewer: proto.NewOperatorToken(), proto.RoleOperator: proto.NewOperatorToken(), proto.RoleAdmin: proto.NewOperatorToken(),
}

// bearer knows tokens.
func bearer(t proto.OperatorToken, _ time.Time) (proto.Operator, error) {
	for role, token := range tokens {
		if token == t {
			return proto.Operator{Name: "eva", Role: role, TokenHash: t.Hash()}, nil
		}
	}
	return proto.Operator{}, errUnknown
}

var errUnknown = fmt.Errorf("the token is nobody's")

// requestOf returns the golden request of a call, with the token of a role.
func requestOf(t *testing.T, r httpapi.Route, role proto.Role) *http.Request {
	t.Helper()
	body, target := golden(t, r.Endpoint, "request"), r.Path
	if r.Endpoint.Reads() {
		target += "?" + queryOf(t, body).Encode()
		body = nil
	}
	req := httptest.NewRequest(r.Method, "https://build.example"+target, bytes.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+tokens[role].Reveal())
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req
}

// queryOf returns a request in JSON as a query.
func queryOf(t *testing.T, body []byte) url.Values {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var fields map[string]any
	if err := d.Decode(&fields); err != nil {
		t.Fatal(err)
	}
	q := url.Values{}
	for name, value := range fields {
		q.Set(name, fmt.Sprint(value))
		if n, ok := value.(json.Number); ok && name == "wait" {
			ns, err := n.Int64()
			if err != nil {
				t.Fatal(err)
			}
			q.Set(name, time.Duration(ns).String())
		}
	}
	return q
}

// TestGolden: each call takes over HTTP what it takes over NATS, and answers the same,
// as it is described.
func TestGolden(t *testing.T) {
	calls := make(chan call, 1)
	h := everyCall(t, calls)
	v := newValidator(t)
	for _, r := range h.Routes() {
		t.Run(r.Endpoint.Name(), func(t *testing.T) {
			req := requestOf(t, r, r.Endpoint.Role())
			req.RemoteAddr = "192.0.2.7:1234"
			v.request(t, requestOf(t, r, r.Endpoint.Role()))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, req)
			if w.Code != http.StatusOK {
				t.Fatalf("got %d %s", w.Code, w.Body)
			}
			got := <-calls
			if want := (bus.Caller{Name: "eva", PublicKey: tokens[r.Endpoint.Role()].Hash(), Address: "192.0.2.7"}); got.endpoint != r.Endpoint || got.caller != want {
				t.Errorf("%s was called by %+v, want %s by %+v", got.endpoint, got.caller, r.Endpoint, want)
			}
			asked, err := json.Marshal(got.request)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "request", golden(t, r.Endpoint, "request"), asked)
			same(t, "reply", golden(t, r.Endpoint, "reply"), w.Body.Bytes())
			v.response(t, requestOf(t, r, r.Endpoint.Role()), w.Result())
		})
	}
}

// same compares two texts of JSON.
func same(t *testing.T, what string, want, got []byte) {
	t.Helper()
	var a, b bytes.Buffer
	if err := json.Compact(&a, want); err != nil {
		t.Fatal(err)
	}
	if err := json.Compact(&b, got); err != nil {
		t.Fatalf("%s: %v: %s", what, err, got)
	}
	if a.String() != b.String() {
		t.Errorf("%s: got %s, want %s", what, b.String(), a.String())
	}
}
