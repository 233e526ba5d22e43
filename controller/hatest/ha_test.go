package hatest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"kedge/controller"
	"kedge/controller/controllertest"
	"kedge/proto"
	"kedge/proto/bus"
)

// Environment variables that make this test binary a controller. Replicas are optional.
const (
	memberDir      = "KEDGE_TEST_MEMBER_STATE"
	memberNATS     = "KEDGE_TEST_MEMBER_NATS"
	memberReplicas = "KEDGE_TEST_MEMBER_REPLICAS"
)

// haPatience is how long a takeover may take on a machine that is busy.
const haPatience = 60 * time.Second

func TestMain(m *testing.M) {
	if dir := os.Getenv(memberDir); dir != "" {
		if err := runMember(dir, os.Getenv(memberNATS)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if file := os.Getenv(serverConfig); file != "" {
		if err := runServer(file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if err := flag.Set("test.parallel", "6"); err != nil { // they wait for leases to run out, most of the time
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// memberConfig is the configuration of one of several controllers.
func memberConfig(dir, url string) controller.Config {
	c := controllertest.Config(dir)
	c.NATS = controller.NATSConfig{URL: url, Replicas: 1}
	c.HA.Enabled = true
	for name, s := range c.Sources {
		s.Poll = time.Second
		c.Sources[name] = s
	}
	return c
}

// flake returns the next revision: a line is a toplevel's name, and the hosts that have
// it, of which the first goes alone; web1 if there are none.
func flake(line string) (controllertest.Flake, error) {
	name, hosts, found := strings.Cut(line, " ")
	if !found {
		hosts = "web1"
	}
	top, err := controllertest.Toplevel(name)
	if err != nil {
		return controllertest.Flake{}, err
	}
	f := controllertest.Flake{Toplevels: map[proto.HostName]proto.StorePath{}}
	for host := range strings.FieldsSeq(hosts) {
		h, err := proto.ParseHostName(host)
		if err != nil {
			return f, err
		}
		f.Toplevels[h] = top
	}
	if first, _, several := strings.Cut(hosts, " "); several {
		f.Kedge = fmt.Sprintf(`{"rollout": {"waves": [{"name": "first", "hosts": %q}]}}`, first)
	}
	return f, nil
}

// runMember is one of several controllers, until standard input ends. Each line there is
// a revision.
func runMember(dir, url string) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	world := &controllertest.World{}
	go func() {
		defer stop()
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			f, err := flake(lines.Text())
			if err != nil {
				return
			}
			world.Push(f)
		}
	}()
	key, err := proto.GenerateKey("test-cache-1", rand.Reader)
	if err != nil {
		return err
	}
	config := memberConfig(dir, url)
	if n, err := strconv.Atoi(os.Getenv(memberReplicas)); err == nil {
		config.NATS.Replicas = n
	}
	c, err := controller.Open(ctx, controller.Options{
		Config: config, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Registry: prometheus.NewRegistry(), Version: "0.0.0-test",
		Parts: world.Parts(key.Public(), controllertest.Channel),
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	return errors.Join(c.Run(ctx), c.Close())
}

// member is a controller in a process of its own.
type member struct {
	cmd   *exec.Cmd
	out   io.Writer
	stdin io.WriteCloser
	ended chan error
	led   atomic.Int32 // how often it said that it leads
}

// Write takes its log.
func (m *member) Write(b []byte) (int, error) {
	m.led.Add(int32(bytes.Count(b, []byte("msg=leads ")))) //nolint:gosec // G115: a few
	return m.out.Write(b)
}

// cluster is a NATS server of somebody else's, and the state directories of two
// controllers with the same keys.
func cluster(t *testing.T) (url string, dirs [2]string) {
	t.Helper()
	base := t.TempDir()
	dirs = [2]string{filepath.Join(base, "a"), filepath.Join(base, "b")}
	text, err := controller.ExternalNATS(memberConfig(dirs[0], ""), time.Now(), false)
	if err != nil {
		t.Fatal(err)
	}
	return startNATS(t, text), dirs
}

// startMember starts a controller in a process.
func startMember(t *testing.T, dir, url string) *member {
	t.Helper()
	m, err := launch(t.Output(), dir, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.kill)
	return m
}

// launch starts a controller in a process, which must be killed, with further variables
// in its environment.
func launch(out io.Writer, dir, url string, env ...string) (*member, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	m := &member{cmd: exec.Command(self), out: out, ended: make(chan error, 1)}
	m.cmd.Env = append(os.Environ(), append(env, memberDir+"="+dir, memberNATS+"="+url)...)
	m.cmd.Stderr = m
	if m.stdin, err = m.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := m.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { m.ended <- m.cmd.Wait() }()
	return m, nil
}

// kill ends the process with SIGKILL. It may be called again.
func (m *member) kill() {
	_ = m.cmd.Process.Kill() // it may have ended
	err := <-m.ended
	m.ended <- err
}

func (m *member) push(t *testing.T, name string) {
	t.Helper()
	if _, err := io.WriteString(m.stdin, name+"\n"); err != nil {
		t.Fatal(err)
	}
}

// copyKeys gives the second controller the keys of the first, as people do.
func copyKeys(t *testing.T, dirs [2]string, url string) {
	t.Helper()
	o := backUp(t, dirs[0])
	o.KeysOnly = true
	if _, err := controller.Restore(memberConfig(dirs[1], url), o); err != nil {
		t.Fatal(err)
	}
}

// wanted waits until the controller that leads says that web1 is to run a toplevel under
// a serial.
func wanted(t *testing.T, conn *bus.Conn, serial proto.Serial, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), haPatience)
	defer cancel()
	host, top := hostName(t, "web1"), toplevel(t, name)
	var last proto.HostReply
	var lastErr error
	for ctx.Err() == nil {
		// What goes to a controller that is held up is not answered: it is asked again.
		soon, cancel := context.WithTimeout(ctx, 3*time.Second)
		r, err := bus.Call[proto.HostRequest, proto.HostReply](soon, conn, proto.EndpointHost, proto.HostRequest{Host: host, After: last.Version, Wait: time.Second})
		cancel()
		if lastErr = err; err != nil {
			select {
			case <-time.After(100 * time.Millisecond): // nobody answers, between two leaders
			case <-ctx.Done():
			}
			continue
		}
		if last = r; r.Host.Want.Serial == serial && r.Host.Want.Toplevel == top {
			return
		}
		if r.Host.Want.Serial > serial {
			break
		}
	}
	t.Fatalf("web1 is to run %+v (%v), want serial %s, %s", last.Host.Want, lastErr, serial, top)
}

// TestAnotherControllerTakesOver kills and stops the one that leads, again and again, while
// revisions come: each is published once.
func TestAnotherControllerTakesOver(t *testing.T) {
	t.Parallel()
	url, dirs := cluster(t)
	a := startMember(t, dirs[0], url)
	a.push(t, "one")
	awaitFile(t, filepath.Join(dirs[0], "admin.creds"))
	admin := connectTo(t, url, filepath.Join(dirs[0], "admin.creds"))
	wanted(t, admin, 1, "one")
	copyKeys(t, dirs, url)
	b := startMember(t, dirs[1], url)
	b.push(t, "one")
	b.push(t, "two")
	a.kill()
	wanted(t, admin, 2, "two") // not twice: the first one's is known

	a = startMember(t, dirs[0], url)
	for _, name := range []string{"one", "two", "three"} {
		a.push(t, name)
	}
	if err := b.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	wanted(t, admin, 3, "three")
	b.push(t, "late")
	if err := b.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := <-b.ended; err == nil || b.cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("who lost the lease ended with %v, want exit code 1", err)
	}
	b.ended <- nil
	wanted(t, admin, 3, "three")

	b = startMember(t, dirs[1], url)
	for _, name := range []string{"one", "two", "three", "four"} {
		b.push(t, name)
	}
	_ = a.stdin.Close() // it ends in good order, and resigns
	if err := <-a.ended; err != nil {
		t.Errorf("the leader ended with %v", err)
	}
	a.ended <- nil
	wanted(t, admin, 4, "four")
	wanted(t, connectTo(t, url, filepath.Join(dirs[1], "admin.creds")), 4, "four")
}

// awaitFile waits until a file is there.
func awaitFile(t *testing.T, file string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), haPatience)
	defer cancel()
	for {
		if _, err := os.Stat(file); err == nil {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("%s does not come to be", file)
		}
	}
}

// logLine hands on each line of a log.
type logLine chan string

func (l logLine) Write(b []byte) (int, error) {
	select {
	case l <- string(b):
	default: // nobody reads that far behind
	}
	return len(b), nil
}

// TestAStandbySaysWhatItIs looks at the health of a controller while another one leads.
func TestAStandbySaysWhatItIs(t *testing.T) {
	url, dirs := cluster(t)
	a := startMember(t, dirs[0], url)
	a.push(t, "one")
	awaitFile(t, filepath.Join(dirs[0], "admin.creds"))
	wanted(t, connectTo(t, url, filepath.Join(dirs[0], "admin.creds")), 1, "one")
	copyKeys(t, dirs, url)
	ctx, stop := context.WithCancel(t.Context())
	lines, registry := make(logLine, 1000), prometheus.NewRegistry()
	key, err := proto.GenerateKey("test-cache-1", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 3)
	ended := make(chan error, 1)
	go func() {
		_, err := controller.Open(ctx, controller.Options{
			Config: memberConfig(dirs[1], url), Log: slog.New(slog.NewTextHandler(lines, nil)), Registry: registry, Version: "0.0.0-test",
			Parts: (&controllertest.World{}).Parts(key.Public()), Notify: func(state string) { said <- state },
		})
		ended <- err
	}()
	if got := <-said; got != "READY=1" {
		t.Errorf("the service manager hears %q", got)
	}
	address := ""
	for line := range lines {
		if _, rest, found := strings.Cut(line, "http="); found {
			address = strings.Fields(rest)[0]
		}
		if strings.Contains(line, "leader=") && strings.Contains(line, "err=<nil>") {
			break // it knows who leads
		}
	}
	get := func(path string) (int, string) {
		r, err := http.Get("http://" + address + path) //nolint:noctx // a test's own server
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		if err := errors.Join(err, r.Body.Close()); err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(body)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(haPatience); ; { // it says so as soon as it has seen the lease
		code, body := get("/readyz")
		if code == http.StatusServiceUnavailable && strings.Contains(body, "leads") {
			break
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("/readyz: %d %q, want %d and who leads", code, body, http.StatusServiceUnavailable)
		}
	}
	for path, want := range map[string]int{"/healthz": http.StatusOK, "/cache/nix-cache-info": http.StatusNotFound, "/api/v1/fleet": http.StatusServiceUnavailable} {
		if code, body := get(path); code != want {
			t.Errorf("%s: %d %q, want %d", path, code, body, want)
		}
	}
	if err := testutil.GatherAndCompare(registry, strings.NewReader("# HELP kedge_controller_leader Whether this controller acts: 0 while another one leads.\n# TYPE kedge_controller_leader gauge\nkedge_controller_leader 0\n")); err != nil {
		t.Error(err)
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("open: %v", err)
	}
	for _, name := range []string{"desired/web1.json", "revisions.json"} {
		theirs, err := os.ReadFile(filepath.Join(dirs[0], name))
		ours, also := os.ReadFile(filepath.Join(dirs[1], name))
		if err := errors.Join(err, also); err != nil || !bytes.Equal(ours, theirs) {
			t.Errorf("%s of the standby is not that of the leader: %v", name, err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
