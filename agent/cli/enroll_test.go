package cli_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"kedge/agent/cli"
	"kedge/internal/usage"
	"kedge/proto"
	"kedge/proto/bus"
)

// A desk is a controller with one token, which it takes for one key.
type desk struct {
	t     *testing.T
	url   string
	token proto.Token

	// answered is called with every answer, for one that is lost.
	answered func(w http.ResponseWriter, status int, body []byte)
	refuses  func(key string) (status int) // before it looks at the token; 0 is not at all
	usedFor  string
	asked    []string // the keys, in order
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	var web1 proto.HostName
	if err := web1.UnmarshalText([]byte("web1")); err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, token: proto.NewToken(web1), answered: answer, refuses: func(string) int { return 0 }}
	s := httptest.NewServer(d)
	t.Cleanup(s.Close)
	d.url = s.URL + proto.EnrollPath
	return d
}

func answer(w http.ResponseWriter, status int, body []byte) {
	w.WriteHeader(status)
	_, _ = w.Write(body) // who asked says so
}

// lose has an answer come to nothing but its beginning.
func lose(w http.ResponseWriter, _ int, _ []byte) {
	_ = http.NewResponseController(w).Flush() // or not even that
	panic(http.ErrAbortHandler)
}

// ServeHTTP implements http.Handler.
func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		b, err := proto.EnrollChallenge{Nonce: "n"}.Encode()
		d.check(err)
		answer(w, http.StatusOK, b)
		return
	}
	b, err := io.ReadAll(r.Body)
	d.check(err)
	q, err := proto.ParseEnrollRequest(b)
	d.check(err)
	d.asked = append(d.asked, q.PublicKey)
	status := d.refuses(q.PublicKey)
	if status == 0 && (q.Token != d.token.Reveal() || d.usedFor != "" && d.usedFor != q.PublicKey) {
		status = http.StatusForbidden
	}
	if status != 0 {
		d.answered(w, status, []byte("no"))
		return
	}
	d.usedFor = q.PublicKey
	body, err := json.Marshal(map[string]any{"sub": q.PublicKey, "name": q.Host.String(), "iat": noon.Unix()})
	d.check(err)
	jwt := "e30." + base64.RawURLEncoding.EncodeToString(body) + ".c2ln" // that nobody signed
	b, err = proto.EnrollReply{HostAddReply: proto.HostAddReply{JWT: jwt, Servers: []string{"wss://build.example/nats"}}}.Encode()
	d.check(err)
	d.answered(w, http.StatusOK, b)
}

func (d *desk) check(err error) {
	if err != nil {
		d.t.Error(err)
	}
}

// An enrollee is a host that enrols.
type enrollee struct {
	t    *testing.T
	dir  string
	desk *desk
	out  io.Writer
	said bytes.Buffer
}

func newEnrollee(t *testing.T) *enrollee {
	t.Helper()
	e := &enrollee{t: t, dir: t.TempDir(), desk: newDesk(t), out: io.Discard}
	config := fmt.Sprintf("host: web1\nstate_dir: %s\n", e.path("state"))
	if err := errors.Join(os.Mkdir(e.path("state"), 0o700), os.WriteFile(e.path("agent.yaml"), []byte(config), 0o600)); err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *enrollee) path(name string) string { return filepath.Join(e.dir, name) }

// enrol runs kedge-agent enroll.
func (e *enrollee) enrol(args ...string) error {
	e.t.Helper()
	config := e.path("agent.yaml")
	e.said.Reset()
	root := &cobra.Command{Use: "kedge-agent", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(cli.Commands(cli.Options{
		Stdin: strings.NewReader(e.desk.token.Reveal()), Stdout: e.out, Stderr: &e.said, Getenv: os.Getenv, Config: &config, Root: e.dir, Units: units{},
	})...)
	root.SetArgs(append([]string{"enroll", e.desk.url, "--out", e.path("host.creds")}, args...))
	return usage.Execute(e.t.Context(), root)
}

// pending returns the key of an enrolment that did not end; none if there is none.
func (e *enrollee) pending() string {
	e.t.Helper()
	seed, err := os.ReadFile(e.path(".host.creds.enrolling"))
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	if err != nil {
		e.t.Fatal(err)
	}
	id, err := bus.ParseIdentity(seed)
	if err != nil {
		e.t.Fatal(err)
	}
	return id.PublicKey
}

// mustBeEnrolled fails the test unless the host has credentials for the key that the
// token was used for, and nothing is left to do.
func (e *enrollee) mustBeEnrolled(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatalf("enroll: %v", err)
	}
	id, err := bus.ReadIdentity(e.path("host.creds"))
	if err != nil || id.PublicKey != e.desk.usedFor {
		e.t.Errorf("the credentials are for %q, %v; want %q", id.PublicKey, err, e.desk.usedFor)
	}
	if key := e.pending(); key != "" {
		e.t.Errorf("the key %s is pending still", key)
	}
}

// mustHave fails the test unless text is in a file.
func (e *enrollee) mustHave(file, text string) {
	e.t.Helper()
	b, err := os.ReadFile(e.path(file))
	if err != nil || !strings.Contains(string(b), text) {
		e.t.Errorf("%s is %q, %v; want %q in it", file, b, err, text)
	}
}

// TestEnrolAgainWithAKeyThatDoesNotCount: an answer was lost, and the key revoked
// before somebody came back with another token.
func TestEnrolAgainWithAKeyThatDoesNotCount(t *testing.T) {
	e := newEnrollee(t)
	e.desk.answered = lose
	if err := e.enrol(); err == nil {
		t.Fatal("no error without an answer")
	}
	first := e.pending()
	if first == "" || first != e.desk.usedFor {
		t.Fatalf("the key %q is pending, want %q", first, e.desk.usedFor)
	}
	e.desk.token, e.desk.usedFor, e.desk.answered = proto.NewToken(e.desk.token.Host()), "", answer
	e.desk.refuses = func(key string) int {
		if key == first {
			return proto.EnrollOtherKey
		}
		if kept := e.pending(); kept != key { // or who does not hear the answer lost it
			t.Errorf("the key %s is asked for, and %q is kept", key, kept)
		}
		return 0
	}
	e.mustBeEnrolled(e.enrol())
	if second := e.desk.usedFor; second == first || !slices.Equal(e.desk.asked, []string{first, first, second}) {
		t.Errorf("asked for %q, want twice for the first and then for another one", e.desk.asked)
	}
}

// TestEnrolGivesUpAKeyForNoOtherReason: and not more often than once.
func TestEnrolGivesUpAKeyForNoOtherReason(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		want   int // how many keys are asked for
	}{
		{"no key counts", proto.EnrollOtherKey, 2},
		{"the token does not count", http.StatusForbidden, 1},
		{"another machine", http.StatusConflict, 1},
		{"not now", http.StatusServiceUnavailable, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := newEnrollee(t)
			e.desk.refuses = func(string) int { return tt.status }
			if err := e.enrol(); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("(%d)", tt.status)) {
				t.Errorf("enroll = %v, want that it was refused with %d", err, tt.status)
			}
			keys := slices.Compact(slices.Clone(e.desk.asked))
			if len(e.desk.asked) != tt.want || len(keys) != tt.want || e.pending() != keys[len(keys)-1] {
				t.Errorf("asked for %q, and %q is pending; want %d keys, and the last to be kept", e.desk.asked, e.pending(), tt.want)
			}
		})
	}
}

// TestEnrolRefusesBeforeItAsks: a token is not used for what cannot be written.
func TestEnrolRefusesBeforeItAsks(t *testing.T) {
	for name, config := range map[string]string{"a file that is there": "there.yaml", "a directory that is not": "nowhere/web1.yaml"} {
		t.Run(name, func(t *testing.T) {
			e := newEnrollee(t)
			if err := os.WriteFile(e.path("there.yaml"), []byte("mine"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := e.enrol("--write-config", e.path(config)); err == nil || !strings.Contains(err.Error(), "configuration: ") {
				t.Errorf("enroll = %v, want that the configuration cannot be there", err)
			}
			if len(e.desk.asked) > 0 || e.pending() != "" {
				t.Errorf("asked for %q, and %q is pending", e.desk.asked, e.pending())
			}
			e.mustHave("there.yaml", "mine")
			e.mustBeEnrolled(e.enrol("--write-config", e.path("web1.yaml")))
			e.mustHave("web1.yaml", "wss://build.example/nats")
		})
	}
}

// TestEnrolMakesTheDirectoryForBoth: on a host that never had an agent there is none.
func TestEnrolMakesTheDirectoryForBoth(t *testing.T) {
	e := newEnrollee(t)
	e.must(e.enrol("--out", e.path("new/host.creds"), "--write-config", e.path("new/web1.yaml")))
	e.mustHave("new/web1.yaml", "wss://build.example/nats")
}

// TestEnrolIsCompletedByAskingAgain: wherever it was cut off once the token was used, the
// same command, with the same token, ends it.
func TestEnrolIsCompletedByAskingAgain(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		cut  func(e *enrollee) (mend func() error)
	}{
		{"the answer is lost", nil, func(e *enrollee) func() error {
			e.desk.answered = lose
			return func() error {
				e.desk.answered = answer
				return nil
			}
		}},
		{"the machine cannot be named", nil, func(e *enrollee) func() error {
			e.must(os.Remove(e.path("state")))
			e.must(os.WriteFile(e.path("state"), nil, 0o600))
			return func() error { return errors.Join(os.Remove(e.path("state")), os.Mkdir(e.path("state"), 0o700)) }
		}},
		{"the configuration cannot be shown", nil, func(e *enrollee) func() error {
			e.out = full{}
			return func() error {
				e.out = io.Discard
				return nil
			}
		}},
		{"the configuration cannot be written", []string{"--write-config", "DIR/sub/web1.yaml"}, func(e *enrollee) func() error {
			e.must(os.Mkdir(e.path("sub"), 0o700))
			e.desk.answered = func(w http.ResponseWriter, status int, body []byte) {
				e.must(os.Remove(e.path("sub")))
				answer(w, status, body)
			}
			return func() error {
				e.desk.answered = answer
				return os.Mkdir(e.path("sub"), 0o700)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := newEnrollee(t)
			var args []string
			for _, a := range tt.args {
				args = append(args, strings.Replace(a, "DIR", e.dir, 1))
			}
			mend := tt.cut(e)
			if err := e.enrol(args...); err == nil {
				t.Fatal("no error although it was cut off")
			}
			e.must(mend())
			var said bytes.Buffer
			if len(args) == 0 {
				e.out = &said
			}
			e.mustBeEnrolled(e.enrol(args...))
			if len(args) > 0 {
				e.mustHave("sub/web1.yaml", "wss://build.example/nats")
			} else if !strings.Contains(said.String(), "wss://build.example/nats") {
				t.Errorf("said %q, want the configuration", said.String())
			}
			if len(e.desk.asked) != 2 || e.desk.asked[0] != e.desk.asked[1] {
				t.Errorf("asked for %q, want one key twice", e.desk.asked)
			}
		})
	}
}

// TestEnrolKnowsItsOwnConfiguration: it was killed when all but the last thing was done.
func TestEnrolKnowsItsOwnConfiguration(t *testing.T) {
	e := newEnrollee(t)
	var seed []byte
	e.desk.answered = func(w http.ResponseWriter, status int, body []byte) {
		var err error
		seed, err = os.ReadFile(e.path(".host.creds.enrolling"))
		e.must(err)
		answer(w, status, body)
	}
	e.mustBeEnrolled(e.enrol("--write-config", e.path("web1.yaml")))
	e.must(os.WriteFile(e.path(".host.creds.enrolling"), seed, 0o600))
	e.mustBeEnrolled(e.enrol("--write-config", e.path("web1.yaml")))
	e.mustHave("web1.yaml", "wss://build.example/nats")

	// But not another one.
	e.must(os.WriteFile(e.path(".host.creds.enrolling"), seed, 0o600))
	e.must(os.WriteFile(e.path("web1.yaml"), []byte("mine"), 0o600))
	if err := e.enrol("--write-config", e.path("web1.yaml")); !errors.Is(err, os.ErrExist) || e.pending() == "" {
		t.Errorf("enroll = %v, and %q is pending; want that the file is there, and a key", err, e.pending())
	}
	e.mustHave("web1.yaml", "mine")
}

func (e *enrollee) must(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Error(err)
	}
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no room") }
