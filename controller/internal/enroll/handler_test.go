package enroll

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"kedge/controller/internal/client"
	"kedge/proto"
)

// A fakeDesk answers, and counts.
type fakeDesk struct {
	redeemed, renewed int
	from              string
	cut               error // why a request could not be carried out to its end
	err               error
}

func (d *fakeDesk) Redeem(ctx context.Context, _ proto.Token, _ proto.EnrollRequest, from string) (proto.EnrollReply, error) {
	d.redeemed, d.from, d.cut = d.redeemed+1, from, ctx.Err()
	return proto.EnrollReply{HostAddReply: proto.HostAddReply{JWT: "jwt"}}, d.err
}

func (d *fakeDesk) Renew(context.Context, proto.EnrollRequest, string) (proto.EnrollReply, error) {
	d.renewed++
	return proto.EnrollReply{HostAddReply: proto.HostAddReply{JWT: "jwt"}}, d.err
}

// A stand is a handler with a clock of its own.
type stand struct {
	*Handler
	desk *fakeDesk
	at   time.Time
	key  nkeys.KeyPair
}

func newStand(t *testing.T) *stand {
	t.Helper()
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	s := &stand{desk: &fakeDesk{}, at: noon, key: key}
	s.Handler = NewHandler(s.desk, func() time.Time { return s.at }, slog.New(slog.DiscardHandler))
	return s
}

// do makes a request from an address.
func (s *stand) do(t *testing.T, method, target, from, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	r.RemoteAddr = from
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Forwarded-For", "203.0.113.9")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

const somewhere = "192.0.2.7:4711"

// request returns a request that is right, before change, and signed after it.
func (s *stand) request(t *testing.T, change func(r *proto.EnrollRequest)) string {
	t.Helper()
	c, err := proto.ParseEnrollChallenge(s.do(t, http.MethodGet, proto.EnrollPath, somewhere, "").Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	public, err := s.key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	r := proto.EnrollRequest{Nonce: c.Nonce, Host: host(t, "web1"), PublicKey: public, Token: proto.NewToken(host(t, "web1")).Reveal()}
	if change != nil {
		change(&r)
	}
	if r.Signature == nil {
		if r.Signature, err = s.key.Sign(r.Statement()); err != nil {
			t.Fatal(err)
		}
	}
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestWhoHasTheKeyIsServed(t *testing.T) {
	s := newStand(t)
	w := s.do(t, http.MethodPost, proto.EnrollPath, somewhere, s.request(t, nil))
	if w.Code != http.StatusOK || s.desk.redeemed != 1 || s.desk.from != "192.0.2.7" {
		t.Errorf("with a token: %d %s, desk %+v", w.Code, w.Body, s.desk)
	}
	w = s.do(t, http.MethodPost, proto.EnrollPath, somewhere, s.request(t, func(r *proto.EnrollRequest) { r.Token = "" }))
	if w.Code != http.StatusOK || s.desk.renewed != 1 {
		t.Errorf("without one: %d %s, desk %+v", w.Code, w.Body, s.desk)
	}
}

func TestWhatIsNotRightDoesNotReachTheDesk(t *testing.T) {
	stale := func(s *stand) func(*proto.EnrollRequest) {
		return func(*proto.EnrollRequest) { s.at = s.at.Add(nonceLifetime) }
	}
	for name, c := range map[string]struct {
		method, target string
		change         func(s *stand) func(*proto.EnrollRequest)
		body           string
		want           int
	}{
		"another path":          {target: "/enroll/", want: http.StatusNotFound},
		"a path with dots":      {target: "/enroll/../enroll", want: http.StatusNotFound},
		"a query":               {target: "/enroll?host=web2", want: http.StatusNotFound},
		"another method":        {method: http.MethodPut, want: http.StatusMethodNotAllowed},
		"nonsense":              {body: "{", want: http.StatusBadRequest},
		"another format":        {body: `{"format":2}`, want: http.StatusBadRequest},
		"too much":              {body: `{"format":1,"nonce":"` + strings.Repeat("x", proto.MaxEnroll) + `"}`, want: http.StatusRequestEntityTooLarge},
		"a name that is a path": {body: `{"format":1,"nonce":"x","host":"../web1","public_key":"U","signature":"AA=="}`, want: http.StatusBadRequest},
		"a challenge that is too old": {
			change: stale, want: http.StatusUnauthorized,
		},
		"a challenge of somebody else": {
			change: func(*stand) func(*proto.EnrollRequest) {
				return func(r *proto.EnrollRequest) { r.Nonce = newNonces().make(noon) }
			}, want: http.StatusUnauthorized,
		},
		"another's key": {
			change: func(*stand) func(*proto.EnrollRequest) {
				return func(r *proto.EnrollRequest) {
					r.PublicKey = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"
				}
			}, want: http.StatusUnauthorized,
		},
		"no key": {
			change: func(*stand) func(*proto.EnrollRequest) { return func(r *proto.EnrollRequest) { r.PublicKey = "U" } }, want: http.StatusBadRequest,
		},
		"another host's token": {
			change: func(*stand) func(*proto.EnrollRequest) {
				return func(r *proto.EnrollRequest) { r.Token = strings.Replace(r.Token, "web1", "web2", 1) }
			}, want: http.StatusForbidden,
		},
		"a token that is none": {
			change: func(*stand) func(*proto.EnrollRequest) { return func(r *proto.EnrollRequest) { r.Token = "x" } }, want: http.StatusForbidden,
		},
		"a signature over something else": {
			change: func(s *stand) func(*proto.EnrollRequest) {
				return func(r *proto.EnrollRequest) {
					r.Signature, _ = s.key.Sign(r.Statement()) // never fails
					r.Token = proto.NewToken(r.Host).Reveal()
				}
			}, want: http.StatusUnauthorized,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			var change func(*proto.EnrollRequest)
			if c.change != nil {
				change = c.change(s)
			}
			body := c.body
			if body == "" {
				body = s.request(t, change)
			}
			method, target := c.method, c.target
			if method == "" {
				method = http.MethodPost
			}
			if target == "" {
				target = proto.EnrollPath
			}
			w := s.do(t, method, target, somewhere, body)
			if w.Code != c.want {
				t.Errorf("got %d %s, want %d", w.Code, w.Body, c.want)
			}
			if s.desk.redeemed+s.desk.renewed > 0 {
				t.Error("it reached the desk")
			}
		})
	}
}

func TestOneClientDoesNotKeepOthersOut(t *testing.T) {
	s := newStand(t)
	get := func(from string) int { return s.do(t, http.MethodGet, proto.EnrollPath, from, "").Code }
	for range limitOfOne {
		if code := get("[2001:db8::1]:1"); code != http.StatusOK {
			t.Fatalf("got %d", code)
		}
	}
	for from, want := range map[string]int{
		"[2001:db8::2]:1": http.StatusTooManyRequests, "[2001:db8:0:1::1]:1": http.StatusOK, "192.0.2.7:1": http.StatusOK,
	} {
		if code := get(from); code != want {
			t.Errorf("from %s: got %d, want %d", from, code, want)
		}
	}
	s.at = s.at.Add(client.Window)
	if code := get("[2001:db8::1]:1"); code != http.StatusOK {
		t.Errorf("a minute later: got %d", code)
	}
}

func TestNobodyFillsTheLog(t *testing.T) {
	for _, target := range []string{proto.EnrollPath, proto.EnrollPath + "?a=b"} {
		s := newStand(t)
		var said strings.Builder
		s.log = slog.New(slog.NewTextHandler(&said, nil))
		for range 2 * limitOfOne {
			s.do(t, http.MethodGet, target, somewhere, "")
		}
		if n := strings.Count(said.String(), "\n"); n > limitOfOne {
			t.Errorf("%s: %d lines in the log, want %d at most", target, n, limitOfOne)
		}
	}
}

func TestTheControllersFaultsAreItsOwn(t *testing.T) {
	s := newStand(t)
	s.desk.err = io.ErrUnexpectedEOF
	w := s.do(t, http.MethodPost, proto.EnrollPath, somewhere, s.request(t, nil))
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "EOF") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestWhoSendsSlowlyTakesNoRoom(t *testing.T) {
	s := newStand(t)
	body := s.request(t, nil)
	var slow sync.WaitGroup
	begun := make(chan struct{}, maxAtOnce)
	var ends []*io.PipeWriter
	for range maxAtOnce {
		r, w := io.Pipe()
		ends = append(ends, w)
		slow.Go(func() {
			req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, proto.EnrollPath, begins{r, begun})
			req.RemoteAddr = "198.51.100.9:1"
			req.Header.Set("Content-Type", "application/json")
			s.ServeHTTP(httptest.NewRecorder(), req)
		})
	}
	for range maxAtOnce {
		<-begun
	}
	if w := s.do(t, http.MethodPost, proto.EnrollPath, somewhere, body); w.Code != http.StatusOK {
		t.Errorf("beside %d who send slowly: got %d %s", maxAtOnce, w.Code, w.Body)
	}
	for _, w := range ends {
		_ = w.Close() // never fails
	}
	slow.Wait()
}

// begins is a body that says when it is read.
type begins struct {
	io.Reader
	begun chan<- struct{}
}

// Read implements io.Reader.
func (b begins) Read(p []byte) (int, error) {
	select {
	case b.begun <- struct{}{}:
	default:
	}
	return b.Reader.Read(p)
}

func TestWhoHangsUpIsEnrolledToTheEnd(t *testing.T) {
	s := newStand(t)
	ctx, hangUp := context.WithCancel(t.Context())
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, proto.EnrollPath, strings.NewReader(s.request(t, nil)))
	r.RemoteAddr = somewhere
	r.Header.Set("Content-Type", "application/json")
	hangUp()
	s.ServeHTTP(httptest.NewRecorder(), r)
	if s.desk.redeemed != 1 || s.desk.cut != nil {
		t.Errorf("the desk was left alone: %+v", s.desk)
	}
}
