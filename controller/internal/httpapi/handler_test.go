package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"kedge/controller/internal/httpapi"
	"kedge/proto"
	"kedge/proto/bus"
)

// patience is how long a test waits for what should come at once.
const patience = 20 * time.Second

func TestRequestsAreStrict(t *testing.T) {
	h, v := everyCall(t, nil), newValidator(t)
	const reconcile, fleet = proto.APIPath + "reconcile", proto.APIPath + "fleet"
	for _, tt := range []struct {
		name, method, target, kind, body string
		status                           int
		code, message                    string
	}{
		{"a read", http.MethodGet, fleet + "?limit=1&continue=web1&wait=1s&after=7", "", "", 200, "", ""},
		{"an act", http.MethodPost, reconcile, "application/json; charset=utf-8", `{"hosts":["web1"]}`, 200, "", ""},
		{"an unknown call", http.MethodGet, proto.APIPath + "flet", "", "", 404, "not-found", "no call flet"},
		{"no call", http.MethodGet, proto.APIPath, "", "", 404, "not-found", "no call"},
		{"another version", http.MethodGet, "/api/v2/fleet", "", "", 404, "not-found", ""},
		{"a read that would act", http.MethodPost, fleet, "application/json", "{}", 405, "method-not-allowed", "with GET"},
		{"an act that would read", http.MethodGet, reconcile, "", "", 405, "method-not-allowed", "with POST"},
		{"an unknown field of a query", http.MethodGet, fleet + "?befour=7", "", "", 400, "bad-request", `unknown field "befour"`},
		{"a field twice", http.MethodGet, fleet + "?after=7&after=8", "", "", 400, "bad-request", "after: must be given once"},
		{"a number that is none", http.MethodGet, fleet + "?after=-1", "", "", 400, "bad-request", "after"},
		{"a duration without its unit", http.MethodGet, fleet + "?wait=5", "", "", 400, "bad-request", "missing unit"},
		{"a host that cannot be one", http.MethodGet, fleet + "?continue=a.>", "", "", 400, "bad-request", "continue: invalid host name"},
		{"half an escape", http.MethodGet, fleet + "?after=%2", "", "", 400, "bad-request", "invalid URL escape"},
		{"a query of an act", http.MethodPost, reconcile + "?hosts=web1", "application/json", "{}", 400, "bad-request", "takes none"},
		{"a form", http.MethodPost, reconcile, "application/x-www-form-urlencoded", "hosts=web1", 415, "unsupported-media-type", "application/json"},
		{"of no type", http.MethodPost, reconcile, "", "{}", 415, "unsupported-media-type", "application/json"},
		{"no body", http.MethodPost, reconcile, "application/json", "", 400, "bad-request", "request"},
		{"an unknown field", http.MethodPost, reconcile, "application/json", `{"host":"web1"}`, 400, "bad-request", "unknown field"},
		{"two values", http.MethodPost, reconcile, "application/json", `{} {}`, 400, "bad-request", "more than one"},
		{"too much", http.MethodPost, reconcile, "application/json", strings.Repeat(" ", bus.MaxRequest) + "{}", 413, "too-large", "1048576"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, "https://build.example"+tt.target, strings.NewReader(tt.body))
			r.Header.Set("Authorization", "bearer "+tokens[proto.RoleAdmin].Reveal()) // in small letters, too
			if tt.kind != "" {
				r.Header.Set("Content-Type", tt.kind)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			got := failure(t, w)
			if w.Code != tt.status || string(got.Code) != tt.code || !strings.Contains(got.Message, tt.message) {
				t.Errorf("got %d %s, want %d, code %q, message with %q", w.Code, w.Body, tt.status, tt.code, tt.message)
			}
			if allow := w.Header().Get("Allow"); (allow == "") == (w.Code == http.StatusMethodNotAllowed) {
				t.Errorf("Allow: %q", allow)
			}
			if w.Code != http.StatusNotFound && w.Code != http.StatusMethodNotAllowed {
				v.response(t, r, w.Result())
			}
		})
	}
}

// failure returns what an answer says went wrong, if it does.
func failure(t *testing.T, w *httptest.ResponseRecorder) httpapi.Error {
	t.Helper()
	var reply httpapi.ErrorReply
	if err := json.Unmarshal(w.Body.Bytes(), &reply); err != nil || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("the answer is %q, of type %s: %v", w.Body, w.Header().Get("Content-Type"), err)
	}
	return reply.Error
}

func TestErrorsHaveAStatus(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status int
		code   string
		retry  string
	}{
		{bus.Errorf(bus.CodeBadRequest, "no"), 400, "bad-request", ""},
		{bus.Errorf(bus.CodeNotFound, "no"), 404, "not-found", ""},
		{bus.Errorf(bus.CodeConflict, "no"), 409, "conflict", ""},
		{bus.Errorf(bus.CodeRefused, "no"), 422, "refused", ""},
		{bus.Errorf(bus.CodeUnavailable, "no"), 503, "unavailable", "5"},
		{bus.Errorf(bus.CodeInternal, "no"), 500, "internal", ""},
		{errors.New("no"), 500, "internal", ""},
	} {
		h := newHandler(t, slog.DiscardHandler)
		httpapi.Handle(h, proto.EndpointReconcile, func(context.Context, bus.Caller, proto.ReconcileRequest) (proto.ReconcileReply, error) {
			return proto.ReconcileReply{}, tt.err
		})
		w := httptest.NewRecorder()
		h.ServeHTTP(w, reconcile(tokens[proto.RoleOperator].Reveal()))
		if got := failure(t, w); w.Code != tt.status || string(got.Code) != tt.code || got.Message != "no" || w.Header().Get("Retry-After") != tt.retry {
			t.Errorf("%v: got %d %s, Retry-After %q", tt.err, w.Code, w.Body, w.Header().Get("Retry-After"))
		}
	}
}

func newHandler(t *testing.T, log slog.Handler) *httpapi.Handler {
	t.Helper()
	return httpapi.New(httpapi.Options{Bearer: bearer, Description: []byte("{}"), Refused: func(bus.Code) {}, Now: time.Now, Log: slog.New(log)})
}

func reconcile(token string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, proto.APIPath+"reconcile", strings.NewReader("{}"))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

func TestWithoutATokenNothingIsCalled(t *testing.T) {
	calls := make(chan call, 1)
	h, good := everyCall(t, calls), tokens[proto.RoleOperator].Reveal()
	for name, change := range map[string]func(*http.Request){
		"no header":     func(r *http.Request) { r.Header.Del("Authorization") },
		"two headers":   func(r *http.Request) { r.Header.Add("Authorization", "Bearer "+good) },
		"as a password": func(r *http.Request) { r.SetBasicAuth("eva", good) },
		"in the query":  func(r *http.Request) { r.Header.Del("Authorization"); r.URL.RawQuery = "access_token=" + good },
		"as a cookie": func(r *http.Request) {
			r.Header.Del("Authorization")
			r.AddCookie(&http.Cookie{Name: "token", Value: good})
		},
		"nobody's":       func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+proto.NewOperatorToken().Reveal()) },
		"not a token":    func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") },
		"half of one":    func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+good[:len(good)/2]) },
		"an enrolment's": func(r *http.Request) { r.Header.Set("Authorization", "Bearer web1.ABCDEFGHIJKLMNOPQRSTUVWXYZ") },
	} {
		r := reconcile(good)
		change(r)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if got := failure(t, w); w.Code != http.StatusUnauthorized || got.Code != "unauthorized" || !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), `Bearer realm="kedge"`) {
			t.Errorf("%s: got %d %s, WWW-Authenticate: %s", name, w.Code, w.Body, w.Header().Get("WWW-Authenticate"))
		}
		if len(w.Result().Cookies()) > 0 || w.Header().Get("Access-Control-Allow-Origin") != "" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", name, w.Header())
		}
	}
	if len(calls) > 0 {
		t.Errorf("%+v was called", <-calls)
	}
}

func TestFailuresAreLimited(t *testing.T) {
	const limit = 30
	var said bytes.Buffer
	h := newHandler(t, slog.NewTextHandler(&said, nil))
	httpapi.Handle(h, proto.EndpointReconcile, func(context.Context, bus.Caller, proto.ReconcileRequest) (proto.ReconcileReply, error) {
		return proto.ReconcileReply{}, nil
	})
	ask := func(from, token string) *httptest.ResponseRecorder {
		r := reconcile(token)
		r.RemoteAddr = from + ":1"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	good, bad := tokens[proto.RoleOperator].Reveal(), proto.NewOperatorToken().Reveal()
	for i := range 3 * limit {
		want := http.StatusUnauthorized
		if i >= limit {
			want = http.StatusTooManyRequests
		}
		w := ask("192.0.2.1", bad)
		if w.Code != want || want == http.StatusTooManyRequests && w.Header().Get("Retry-After") != "60" {
			t.Fatalf("failure %d: got %d, Retry-After %q, want %d", i+1, w.Code, w.Header().Get("Retry-After"), want)
		}
	}
	if w := ask("192.0.2.1", good); w.Code != http.StatusOK {
		t.Errorf("a token that counts, from the same address: got %d", w.Code)
	}
	if w := ask("192.0.2.2", bad); w.Code != http.StatusUnauthorized {
		t.Errorf("from another address: got %d", w.Code)
	}
	if n := strings.Count(said.String(), "\n"); n != limit+1 {
		t.Errorf("%d lines in the log, want %d", n, limit+1)
	}
	for _, token := range []string{good, bad} {
		if strings.Contains(said.String(), strings.TrimPrefix(token, "kedge_")) {
			t.Errorf("the log has a token: %s", said.String())
		}
	}
}

func TestARoleIsNotEnough(t *testing.T) {
	h := everyCall(t, nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, reconcile(tokens[proto.RoleViewer].Reveal()))
	if got := failure(t, w); w.Code != http.StatusForbidden || got.Code != "forbidden" || got.Message != "reconcile needs the role operator, and this token has viewer" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if got, want := w.Header().Get("WWW-Authenticate"), `Bearer realm="kedge", error="insufficient_scope", scope="operator"`; got != want {
		t.Errorf("WWW-Authenticate: %s, want %s", got, want)
	}
}

func TestWhatHangsUpIsDoneAllTheSame(t *testing.T) {
	h := newHandler(t, slog.DiscardHandler)
	began := make(chan context.Context, 1)
	httpapi.Handle(h, proto.EndpointReconcile, func(ctx context.Context, _ bus.Caller, _ proto.ReconcileRequest) (proto.ReconcileReply, error) {
		began <- ctx
		<-ctx.Done()
		return proto.ReconcileReply{}, nil
	})
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- h.Run(ctx) }()
	client, hangUp := context.WithCancel(t.Context())
	answered := make(chan *httptest.ResponseRecorder, 1)
	go func() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, reconcile(tokens[proto.RoleOperator].Reveal()).WithContext(client))
		answered <- w
	}()
	act := receive(t, began)
	hangUp()
	if err := act.Err(); err != nil {
		t.Errorf("the client hung up: the act ends with %v", err)
	}
	stop()
	if err := receive(t, stopped); err != nil {
		t.Error(err)
	}
	if act.Err() == nil || receive(t, answered).Code != http.StatusOK {
		t.Error("the controller stopped, and the act went on")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, reconcile(tokens[proto.RoleOperator].Reveal()))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("after the end: got %d %s", w.Code, w.Body)
	}
}

func TestViewersWhoWaitDoNotKeepOperatorsOut(t *testing.T) {
	const room = 256
	h := newHandler(t, slog.DiscardHandler)
	began, end := make(chan struct{}, room), make(chan struct{})
	httpapi.Handle(h, proto.EndpointFleet, func(context.Context, bus.Caller, proto.FleetRequest) (proto.FleetReply, error) {
		began <- struct{}{}
		<-end
		return proto.FleetReply{}, nil
	})
	httpapi.Handle(h, proto.EndpointReconcile, func(context.Context, bus.Caller, proto.ReconcileRequest) (proto.ReconcileReply, error) {
		return proto.ReconcileReply{}, nil
	})
	look := func() *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, proto.APIPath+"fleet", http.NoBody)
		r.Header.Set("Authorization", "Bearer "+tokens[proto.RoleViewer].Reveal())
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	ended := make(chan int, room)
	for range room {
		go func() { ended <- look().Code }()
	}
	for range room {
		receive(t, began)
	}
	if w := look(); w.Code != http.StatusServiceUnavailable || failure(t, w).Code != bus.CodeUnavailable {
		t.Errorf("one viewer more: got %d %s", w.Code, w.Body)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, reconcile(tokens[proto.RoleOperator].Reveal()))
	if w.Code != http.StatusOK {
		t.Errorf("an operator: got %d %s", w.Code, w.Body)
	}
	close(end)
	for range room {
		if code := receive(t, ended); code != http.StatusOK {
			t.Errorf("who waited: got %d", code)
		}
	}
	if w := func() *httptest.ResponseRecorder { go func() { <-began }(); return look() }(); w.Code != http.StatusOK {
		t.Errorf("afterwards: got %d", w.Code)
	}
}

func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		var none T
		return none
	}
}
