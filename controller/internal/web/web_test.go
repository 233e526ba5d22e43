package web_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"kedge/controller/internal/httpapi"
	"kedge/controller/internal/web"
	"kedge/proto"
	"kedge/proto/bus"
)

var now = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // never set

// A site is the pages over a real API with answers of a test.
type site struct {
	*web.Handler
	token   proto.OperatorToken
	revoked bool
	time    time.Time

	version uint64
	hosts   []proto.HostView // in pages of two
	sources []proto.SourceStatus
	rollout proto.RolloutShowReply
	log     []proto.BuildLogReply
	asked   []string // the queries of the fleet
	read    []string // the revisions of pages of logs
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{token: proto.NewOperatorToken(), time: now, version: 1}
	log := slog.New(slog.DiscardHandler)
	api := httpapi.New(httpapi.Options{
		Bearer: func(shown proto.OperatorToken, _ time.Time) (proto.Operator, error) {
			if shown != s.token || s.revoked {
				return proto.Operator{}, fmt.Errorf("the token does not count")
			}
			return proto.Operator{Name: "ann", Role: proto.RoleViewer}, nil
		},
		Refused: func(bus.Code) {}, Now: func() time.Time { return s.time }, Log: log,
	})
	httpapi.Handle(api, proto.EndpointFleet, s.fleetCall)
	httpapi.Handle(api, proto.EndpointHost, func(_ context.Context, _ bus.Caller, r proto.HostRequest) (proto.HostReply, error) {
		for _, v := range s.hosts {
			if v.Host == r.Host {
				return proto.HostReply{Host: v}, nil
			}
		}
		return proto.HostReply{}, bus.Errorf(bus.CodeNotFound, "no host %s", r.Host)
	})
	httpapi.Handle(api, proto.EndpointEvents, func(_ context.Context, _ bus.Caller, r proto.EventsRequest) (proto.EventsReply, error) {
		if !r.Last || r.Limit == 0 {
			return proto.EventsReply{}, fmt.Errorf("asked for %+v", r)
		}
		return proto.EventsReply{Events: []proto.NumberedEvent{
			{Seq: 1, Event: proto.Event{Host: r.Host, Message: "the older", Time: now}},
			{Seq: 2, Event: proto.Event{Host: r.Host, Message: "the newer", Time: now}},
		}}, nil
	})
	httpapi.Handle(api, proto.EndpointRolloutList, func(context.Context, bus.Caller, proto.RolloutListRequest) (proto.RolloutListReply, error) {
		return proto.RolloutListReply{
			Rollouts: []proto.RolloutView{s.rollout.Rollout},
			Holds:    []proto.RolloutHold{{Reason: "the fair", By: "ann", Since: now}},
		}, nil
	})
	httpapi.Handle(api, proto.EndpointRolloutShow, func(_ context.Context, _ bus.Caller, r proto.RolloutShowRequest) (proto.RolloutShowReply, error) {
		if r.Rollout != s.rollout.Rollout.ID {
			return proto.RolloutShowReply{}, bus.Errorf(bus.CodeNotFound, "no rollout %s", r.Rollout)
		}
		reply := s.rollout
		from := slices.IndexFunc(reply.Hosts, func(h proto.RolloutHost) bool { return h.Host == r.Continue }) + 1
		if reply.Hosts = reply.Hosts[from:]; r.Limit > 0 && len(reply.Hosts) > r.Limit {
			reply.Hosts, reply.Continue = reply.Hosts[:r.Limit], reply.Hosts[r.Limit-1].Host
		}
		return reply, nil
	})
	httpapi.Handle(api, proto.EndpointBuildLog, func(_ context.Context, _ bus.Caller, r proto.BuildLogRequest) (proto.BuildLogReply, error) {
		s.read = append(s.read, r.Revision.String())
		return s.log[r.After], nil
	})
	s.Handler = web.New(web.Options{API: api, Now: func() time.Time { return s.time }, Log: log})
	return s
}

func (s *site) fleetCall(_ context.Context, _ bus.Caller, r proto.FleetRequest) (proto.FleetReply, error) {
	s.asked = append(s.asked, r.Continue.String())
	if r.Limit == 1 {
		s.asked[len(s.asked)-1] = "version"
	}
	from := 0
	for i, v := range s.hosts {
		if v.Host == r.Continue {
			from = i
		}
	}
	reply := proto.FleetReply{Version: s.version, Hosts: s.hosts[from:min(from+2, len(s.hosts))], Rollouts: []proto.RolloutView{s.rollout.Rollout}, Sources: s.sources}
	if from+2 < len(s.hosts) {
		reply.Continue = s.hosts[from+2].Host
	}
	return reply, nil
}

// get returns the answer to a visitor with cookies, and with headers given in turn.
func (s *site) get(target string, cookies []*http.Cookie, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func (s *site) post(target string, form url.Values, cookies []*http.Cookie, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, c := range cookies {
		r.AddCookie(c)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// signIn returns the cookies of somebody who signed in.
func (s *site) signIn(t *testing.T) []*http.Cookie {
	t.Helper()
	w := s.post("/sign-in", url.Values{"token": {s.token.Reveal()}}, nil)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/" {
		t.Fatalf("signing in: %d to %q: %s", w.Code, w.Header().Get("Location"), w.Body)
	}
	return w.Result().Cookies()
}

// requirePage fails unless the answer is a page with every text.
func requirePage(t *testing.T, w *httptest.ResponseRecorder, status int, texts ...string) {
	t.Helper()
	if w.Code != status {
		t.Errorf("status %d, want %d", w.Code, status)
	}
	for _, text := range texts {
		if !strings.Contains(w.Body.String(), text) {
			t.Errorf("the page lacks %q:\n%s", text, w.Body)
		}
	}
}

func hostNamed(t *testing.T, name string) proto.HostView {
	t.Helper()
	h, err := proto.ParseHostName(name)
	if err != nil {
		t.Fatal(err)
	}
	status := proto.Status{Host: h, Deployment: proto.DeploymentStatus{Phase: proto.PhaseCommitted, Verdict: proto.VerdictSucceeded, Since: now}}
	return proto.HostView{Host: h, Channel: "main", Seen: now, Status: &status}
}

func TestVisitorsSignIn(t *testing.T) {
	s := newSite(t)
	for target, to := range map[string]string{
		"/":                "/sign-in",
		"/?only=noted":     "/sign-in?to=%2F%3Fonly%3Dnoted",
		"/hosts/web1":      "/sign-in?to=%2Fhosts%2Fweb1",
		"/rollouts":        "/sign-in?to=%2Frollouts",
		"/rollouts/main-1": "/sign-in?to=%2Frollouts%2Fmain-1",
		"/builds/main":     "/sign-in?to=%2Fbuilds%2Fmain",
	} {
		for _, cookies := range [][]*http.Cookie{nil, {{Name: "__Host-kedge", Value: "guessed"}}} {
			w := s.get(target, cookies)
			if w.Code != http.StatusSeeOther || w.Header().Get("Location") != to {
				t.Errorf("%s: %d to %q, want %q", target, w.Code, w.Header().Get("Location"), to)
			}
		}
		if w := s.get(target, nil, "HX-Request", "true"); w.Code != http.StatusUnauthorized || w.Header().Get("HX-Redirect") != to {
			t.Errorf("%s, by htmx: %d to %q, want %q", target, w.Code, w.Header().Get("HX-Redirect"), to)
		}
	}
	if len(s.asked) > 0 {
		t.Error("the API was asked for somebody who has not signed in")
	}
	requirePage(t, s.get("/sign-in?to=/hosts/web1", nil), http.StatusOK, `value="/hosts/web1"`)

	cookies := s.signIn(t)
	if c := cookies[0]; len(cookies) != 1 || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" ||
		strings.Contains(c.Value, s.token.Reveal()) {
		t.Errorf("the cookie is %v", cookies)
	}
	requirePage(t, s.get("/", cookies), http.StatusOK, "<h1>Fleet</h1>", "No host is known yet.")
}

// TestALinkElsewhereShowsAndActsOnNothing: who follows one, as in a chat, need not sign in again.
func TestALinkElsewhereShowsAndActsOnNothing(t *testing.T) {
	s := newSite(t)
	cookies := s.signIn(t)
	requirePage(t, s.get("/", cookies, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"), http.StatusOK, "<h1>Fleet</h1>")
	s.get("/sign-out", cookies, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate")
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}} {
		if w := s.post("/sign-out", nil, cookies, header...); w.Code != http.StatusForbidden {
			t.Errorf("signed out by another site, with %q: %d", header, w.Code)
		}
	}
	requirePage(t, s.get("/", cookies), http.StatusOK, "<h1>Fleet</h1>")
}

func TestTokensThatDoNotCount(t *testing.T) {
	s := newSite(t)
	other := proto.NewOperatorToken().Reveal()
	for token, words := range map[string]string{"": "operator&#39;s token", "kedge_short": "operator&#39;s token", other: "does not count"} {
		w := s.post("/sign-in", url.Values{"token": {token}, "to": {"/rollouts"}}, nil)
		requirePage(t, w, http.StatusUnauthorized, words, `role="alert"`, `value="/rollouts"`)
		if len(w.Result().Cookies()) > 0 || token != "" && strings.Contains(w.Body.String(), token) {
			t.Errorf("the answer is %v with %v", w.Body, w.Result().Cookies())
		}
	}
	// Tokens in a link would be in logs and histories.
	if w := s.post("/sign-in?token="+s.token.Reveal(), nil, nil); w.Code != http.StatusUnauthorized {
		t.Errorf("a token in the link: %d", w.Code)
	}
	for range 40 {
		s.post("/sign-in", url.Values{"token": {other}}, nil)
	}
	requirePage(t, s.post("/sign-in", url.Values{"token": {other}}, nil), http.StatusTooManyRequests, "too many calls")
}

// One is sent back to these pages alone, whatever a link says.
func TestSignInLeadsNowhereElse(t *testing.T) {
	s := newSite(t)
	for to, want := range map[string]string{
		"":                     "/",
		"/hosts/web1?x=1":      "/hosts/web1?x=1",
		"https://evil.example": "/",
		"//evil.example":       "/",
		`/\evil.example`:       "/",
		"javascript:alert(1)":  "/",
		"hosts/web1":           "/",
		"%zz":                  "/",
	} {
		w := s.post("/sign-in", url.Values{"token": {s.token.Reveal()}, "to": {to}}, nil)
		if got := w.Header().Get("Location"); w.Code != http.StatusSeeOther || got != want {
			t.Errorf("to %q: %d to %q, want %q", to, w.Code, got, want)
		}
	}
}

func TestSessionsEnd(t *testing.T) {
	s := newSite(t)
	signedIn := func(cookies []*http.Cookie) bool { return s.get("/", cookies).Code == http.StatusOK }

	left := s.signIn(t)
	stays := s.signIn(t)
	w := s.post("/sign-out", nil, left)
	if c := w.Result().Cookies(); w.Code != http.StatusSeeOther || len(c) != 1 || c[0].MaxAge >= 0 || signedIn(left) || !signedIn(stays) {
		t.Errorf("after signing out: %d, cookies %v; left %t, the other stays %t", w.Code, c, signedIn(left), signedIn(stays))
	}

	s.revoked = true
	if signedIn(stays) {
		t.Error("a page was shown for a token that was revoked")
	}
	s.revoked = false
	if signedIn(stays) {
		t.Error("the session has outlived its token")
	}

	before := s.signIn(t)
	if again := s.post("/sign-in", url.Values{"token": {s.token.Reveal()}}, before).Result().Cookies(); !signedIn(again) || signedIn(before) {
		t.Errorf("who signed in again is signed in: %t; the session before goes on: %t", signedIn(again), signedIn(before))
	}

	late := s.signIn(t)
	s.time = now.Add(12 * time.Hour)
	if signedIn(late) {
		t.Error("a session lasts for ever")
	}

	first := s.signIn(t)
	s.time = s.time.Add(time.Second)
	for range 999 {
		s.signIn(t)
	}
	if !signedIn(first) {
		t.Error("a session ended among a thousand")
	}
	s.signIn(t)
	if signedIn(first) {
		t.Error("sessions are without bound")
	}
}

func TestHeaders(t *testing.T) {
	s := newSite(t)
	for _, target := range []string{"/", "/sign-in", "/hosts/web1", "/nothing", "/static/style.css"} {
		h := s.get(target, s.signIn(t)).Header()
		if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", target, h)
		}
	}
	if got := s.get("/", s.signIn(t)).Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("the fleet may be kept: %s", got)
	}
	for file, kind := range map[string]string{"style.css": "text/css", "htmx.min.js": "javascript"} {
		if w := s.get("/static/"+file, nil); w.Code != http.StatusOK || !strings.Contains(w.Header().Get("Content-Type"), kind) || w.Body.Len() == 0 {
			t.Errorf("%s: %d, %v", file, w.Code, w.Header())
		}
	}
	if w := s.get("/static/", nil); w.Code != http.StatusNotFound {
		t.Errorf("the list of files: %d", w.Code)
	}
}
