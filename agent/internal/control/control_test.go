package control_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"kedge/agent/internal/control"
	"kedge/agent/internal/statefile"
	"kedge/proto"
)

func TestMain(m *testing.M) {
	// net/http lingers for half a second on a connection whose request it did not
	// read to its end, and waits for nobody who closes its server.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// An agent answers as it is told.
type agent struct {
	rested    func(ctx context.Context) (proto.Status, error)
	suspended control.SuspendRequest
	resumed   string
	lifted    control.LiftRequest
	confirmed string
	back      control.RollBackRequest
	err       error
}

func (a *agent) Status() proto.Status                { return status("1.2.3") }
func (a *agent) History() (statefile.History, error) { return statefile.History{}, a.err }
func (a *agent) Reconcile(context.Context) error     { return a.err }
func (a *agent) Resume(_ context.Context, by string) error {
	a.resumed = by
	return a.err
}

func (a *agent) Rested(ctx context.Context) (proto.Status, error) { return a.rested(ctx) }

func (a *agent) Suspend(_ context.Context, r control.SuspendRequest) (statefile.Suspension, error) {
	a.suspended = r
	return statefile.Suspension{By: r.By}, a.err
}

func (a *agent) Confirm(_ context.Context, by string) (proto.DeploymentStatus, error) {
	a.confirmed = by
	return proto.DeploymentStatus{ID: "7-x"}, a.err
}

func (a *agent) RollBack(_ context.Context, r control.RollBackRequest) (proto.DeploymentStatus, error) {
	a.back = r
	return proto.DeploymentStatus{ID: "7-x"}, a.err
}

func (a *agent) Lift(_ context.Context, r control.LiftRequest) ([]statefile.Quarantine, error) {
	a.lifted = r
	return []statefile.Quarantine{{Toplevel: r.Toplevel}}, a.err
}

// status is what an agent of a version says.
func status(version string) proto.Status {
	s := proto.Status{Agent: version}
	_ = s.Host.UnmarshalText([]byte("web1")) // is a name
	return s
}

// serve serves a in dir until the test ends, or the server is closed.
func serve(t *testing.T, dir, group string, a control.Agent) *control.Server {
	t.Helper()
	s, err := control.Serve(t.Context(), control.Options{Dir: dir, Agent: a, Log: slog.New(slog.DiscardHandler), StatusGroup: group})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestEverythingCanBeAsked(t *testing.T) {
	dir, a := t.TempDir(), &agent{rested: func(context.Context) (proto.Status, error) { return status("7"), nil }}
	serve(t, dir, "", a)
	c := control.Client{Dir: dir}
	if s, err := c.Status(t.Context()); err != nil || s.Agent != "1.2.3" {
		t.Errorf("Status = %+v, %v", s, err)
	}
	if _, err := c.History(t.Context()); err != nil {
		t.Errorf("History: %v", err)
	}
	if err := c.Reconcile(t.Context()); err != nil {
		t.Errorf("Reconcile: %v", err)
	}
	if s, err := c.Rested(t.Context()); err != nil || s.Agent != "7" {
		t.Errorf("Rested = %+v, %v", s, err)
	}
	suspend := control.SuspendRequest{For: time.Hour, Reason: "disk swap", By: "ada"}
	if s, err := c.Suspend(t.Context(), suspend); err != nil || s.By != "ada" || a.suspended != suspend {
		t.Errorf("Suspend = %+v, %v; the agent got %+v", s, err, a.suspended)
	}
	if err := c.Resume(t.Context(), control.ResumeRequest{By: "ada"}); err != nil || a.resumed != "ada" {
		t.Errorf("Resume = %v; the agent got %q", err, a.resumed)
	}
	lift := control.LiftRequest{All: true, By: "ada"}
	if r, err := c.Lift(t.Context(), lift); err != nil || len(r.Lifted) != 1 || !cmp.Equal(a.lifted, lift, cmp.AllowUnexported(proto.StorePath{})) {
		t.Errorf("Lift = %+v, %v; the agent got %+v", r, err, a.lifted)
	}
	if d, err := c.Confirm(t.Context(), control.ConfirmRequest{By: "ada"}); err != nil || d.ID != "7-x" || a.confirmed != "ada" {
		t.Errorf("Confirm = %+v, %v; the agent got %q", d, err, a.confirmed)
	}
	back := control.RollBackRequest{To: 3, Reason: "it is slow", By: "ada"}
	if d, err := c.RollBack(t.Context(), back); err != nil || d.ID != "7-x" || a.back != back {
		t.Errorf("RollBack = %+v, %v; the agent got %+v", d, err, a.back)
	}
}

func TestAnAgentSaysThatThereIsNothingToDo(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir, "", &agent{err: fmt.Errorf("%w: nobody waits", control.ErrNothing)})
	_, err := control.Client{Dir: dir}.Confirm(t.Context(), control.ConfirmRequest{})
	if !errors.Is(err, control.ErrNothing) || !strings.Contains(err.Error(), "nobody waits") {
		t.Errorf("got %v", err)
	}
	if err := (control.Client{Dir: dir}).Resume(t.Context(), control.ResumeRequest{}); !errors.Is(err, control.ErrNothing) {
		t.Errorf("got %v", err)
	}
}

func TestAnAgentThatRefusesSaysWhy(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir, "", &agent{err: errors.New("no room")})
	_, err := control.Client{Dir: dir}.Suspend(t.Context(), control.SuspendRequest{})
	var refused *control.Error
	if !errors.As(err, &refused) || refused.Message != "no room" {
		t.Errorf("got %v", err)
	}
}

func TestWhoeverMayLookMayDoNothingElse(t *testing.T) {
	dir, a := t.TempDir(), &agent{}
	serve(t, dir, "", a)
	for _, path := range []string{"/v1/suspend", "/v1/resume", "/v1/lift", "/v1/confirm", "/v1/rollback", "/v1/reconcile"} {
		if code := post(t, filepath.Join(dir, control.StatusSocket), path, "{}"); code != http.StatusNotFound {
			t.Errorf("%s: answered with %d, want %d", path, code, http.StatusNotFound)
		}
	}
	if a.suspended != (control.SuspendRequest{}) {
		t.Error("suspended")
	}
}

func TestBadRequestsAreRefused(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir, "", &agent{})
	for body, want := range map[string]int{
		`{"for":`:                    http.StatusBadRequest,
		`{"for":"1h"}`:               http.StatusBadRequest,
		`{"toplevel":"/etc/passwd"}`: http.StatusOK, // of a newer client: not known here
		`{"reason":"` + strings.Repeat("x", 1<<20) + `"}`: http.StatusBadRequest,
	} {
		if got := post(t, filepath.Join(dir, control.ControlSocket), "/v1/suspend", body); got != want {
			t.Errorf("%.40s: answered with %d, want %d", body, got, want)
		}
	}
	if got := post(t, filepath.Join(dir, control.ControlSocket), "/v1/lift", `{"toplevel":"/etc/passwd"}`); got != http.StatusBadRequest {
		t.Errorf("what is no store path: answered with %d", got)
	}
}

// post posts body to a path of a socket, and returns the code of the answer.
func post(t *testing.T, socket, path, body string) int {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://x"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode
}

func TestWhoMayOpenTheSockets(t *testing.T) {
	own, err := user.LookupGroupId(strconv.Itoa(os.Getgid()))
	if err != nil {
		t.Fatal(err)
	}
	for group, want := range map[string]fs.FileMode{"": 0o600, own.Name: 0o660, "no-such-group": 0o600} {
		dir := t.TempDir()
		serve(t, dir, group, &agent{})
		for name, want := range map[string]fs.FileMode{control.ControlSocket: 0o600, control.StatusSocket: want} {
			info, err := os.Stat(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if got := info.Mode().Perm(); got != want {
				t.Errorf("group %q: %s has permissions %o, want %o", group, name, got, want)
			}
			if owner, is := info.Sys().(*syscall.Stat_t); !is || int(owner.Gid) != os.Getgid() {
				t.Errorf("group %q: %s is of group %d", group, name, owner.Gid)
			}
		}
	}
}

func TestSocketsOfADeadAgentAreReplacedAndThoseOfALivingOneAreNot(t *testing.T) {
	dir := t.TempDir()
	dead, err := net.Listen("unix", filepath.Join(dir, control.ControlSocket))
	if err != nil {
		t.Fatal(err)
	}
	if l, is := dead.(*net.UnixListener); is {
		l.SetUnlinkOnClose(false)
	}
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	c := control.Client{Dir: dir}
	if err := c.Reconcile(t.Context()); !errors.Is(err, control.ErrNoAgent) {
		t.Errorf("a dead agent answers: %v", err)
	}
	s := serve(t, dir, "", &agent{})
	if _, err := control.Serve(t.Context(), control.Options{Dir: dir, Agent: &agent{err: errors.New("the second")}, Log: slog.New(slog.DiscardHandler)}); !errors.Is(err, control.ErrServed) {
		t.Errorf("a second agent: %v, want %v", err, control.ErrServed)
	}
	if err := c.Reconcile(t.Context()); err != nil {
		t.Errorf("after it the first one answers: %v", err)
	}
	s.Close()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if _, err := c.Status(t.Context()); !errors.Is(err, control.ErrNoAgent) {
		t.Errorf("nobody answers: %v, want %v", err, control.ErrNoAgent)
	}
}

func TestRestIsAwaitedThroughAnotherAgent(t *testing.T) {
	dir := t.TempDir()
	asked := make(chan struct{}, 1)
	first := serve(t, dir, "", &agent{rested: func(ctx context.Context) (proto.Status, error) {
		asked <- struct{}{}
		<-ctx.Done()
		return proto.Status{}, ctx.Err()
	}})
	rested := make(chan proto.Status, 1)
	go func() {
		s, err := control.Client{Dir: dir}.Rested(t.Context())
		if err != nil {
			t.Error(err)
		}
		rested <- s
	}()
	<-asked
	first.Close()
	serve(t, dir, "", &agent{rested: func(context.Context) (proto.Status, error) { return status("8"), nil }})
	if s := <-rested; s.Agent != "8" {
		t.Errorf("rests as %+v, want as the second agent says", s)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (control.Client{Dir: dir}).Rested(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}
