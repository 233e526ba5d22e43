package natsd_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"go.uber.org/goleak"

	"kedge/controller/internal/natsd"
	"kedge/proto"
	"kedge/proto/bus"
)

// patience is how long a test waits for what should come at once.
const patience = 20 * time.Second

// A world is a server and those who use it.
type world struct {
	server *natsd.Server
	dir    string // the controller's state directory
}

// newWorld starts a server with all assets.
func newWorld(t *testing.T) *world {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) })
	w := &world{dir: t.TempDir()}
	w.start(t, "127.0.0.1:0")
	return w
}

// start starts the server on address.
func (w *world) start(t *testing.T, address string) {
	t.Helper()
	s, err := natsd.Start(t.Context(), natsd.Options{StateDir: w.dir, Listen: address, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	w.server = s
}

// address returns where the server listens.
func (w *world) address() string { return strings.TrimPrefix(w.server.ClientURL(), "nats://") }

// connect returns a connection with the credentials in file, closed when the
// test ends.
func connect(t *testing.T, url, name, file string) *bus.Conn {
	t.Helper()
	c, err := bus.Connect(t.Context(), bus.Options{
		Servers:     []string{url},
		Name:        name,
		Credentials: file,
		Backoff:     bus.Backoff{Base: 10 * time.Millisecond, Cap: 100 * time.Millisecond},
		Log:         slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// awaitConnected fails the test unless c connects.
func awaitConnected(t *testing.T, c *bus.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := c.AwaitConnected(ctx); err != nil {
		t.Fatal(err)
	}
}

// fleet returns a controller's view, with all assets in place.
func (w *world) fleet(t *testing.T) *bus.Fleet {
	t.Helper()
	c := connect(t, w.server.ClientURL(), "controller", w.server.ControllerCredentials())
	awaitConnected(t, c)
	f := bus.NewFleet(c, slog.New(slog.DiscardHandler))
	if err := f.EnsureAssets(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	return f
}

// hostFile returns a credentials file of host name.
func (w *world) hostFile(t *testing.T, name string) (file string, id bus.Identity) {
	t.Helper()
	id, err := bus.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	jwt, err := w.server.HostJWT(hostName(t, name), id.PublicKey, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	creds, err := bus.FormatCredentials(jwt, id.Seed)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, name+".creds", creds), id
}

// host returns the view of host name.
func (w *world) host(t *testing.T, name string) *bus.Host {
	t.Helper()
	file, _ := w.hostFile(t, name)
	c := connect(t, w.server.ClientURL(), name, file)
	awaitConnected(t, c)
	h := bus.NewHost(c, hostName(t, name))
	t.Cleanup(h.Close)
	return h
}

// operatorFile returns a credentials file for role.
func (w *world) operatorFile(t *testing.T, role proto.Role, name string) string {
	t.Helper()
	creds, err := w.server.OperatorCredentials(role, name)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, name+".creds", creds)
}

func hostName(t *testing.T, s string) proto.HostName {
	t.Helper()
	h, err := proto.ParseHostName(s)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func writeFile(t *testing.T, name string, b []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// awaitRing fails the test unless the doorbell of h rings.
func awaitRing(t *testing.T, h *bus.Host) {
	t.Helper()
	select {
	case <-h.Doorbell():
	case <-time.After(patience):
		t.Fatal("the doorbell does not ring")
	}
}

// receive returns the next element of c.
func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("nothing came within %v", patience)
		panic("unreachable")
	}
}

// run calls f in a goroutine until the test ends, when it must return nil.
func run(t *testing.T, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// await fails the test unless the state of c comes to fulfil ok.
func await(t *testing.T, c *bus.Conn, ok func(bus.State) bool) {
	t.Helper()
	timeout := time.After(patience)
	for {
		s, changed := c.Watch()
		if ok(s) {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("the connection stays in state %+v", s)
		}
	}
}

// publishEventually publishes a status of h, again and again until it is stored.
func publishEventually(t *testing.T, h *bus.Host) {
	t.Helper()
	timeout := time.After(patience)
	for {
		err := h.PublishStatus(t.Context(), proto.Status{Host: hostName(t, "web2"), Time: time.Now(), Agent: "x"})
		if err == nil {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-timeout:
			t.Fatal(err)
		}
	}
}

// controllerMessages returns how many messages stream holds.
func controllerMessages(t *testing.T, w *world, stream string) uint64 {
	t.Helper()
	nc, err := nats.Connect(w.server.ClientURL(), nats.UserCredentials(w.server.ControllerCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

// eavesdrop listens in CTRL to what is sent to subject from now on, and returns
// a function that says how many messages that were.
func (w *world) eavesdrop(t *testing.T, subject string) func() int {
	t.Helper()
	nc, err := nats.Connect(w.server.ClientURL(), nats.UserCredentials(w.server.ControllerCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	sub, err := nc.SubscribeSync(subject)
	if err != nil {
		t.Fatal(err)
	}
	flush := func() {
		t.Helper()
		if err := nc.FlushTimeout(patience); err != nil {
			t.Fatal(err)
		}
	}
	flush()
	return func() int {
		flush()
		n, _, err := sub.Pending()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
}

// identityIn returns the identity in a credentials file.
func identityIn(t *testing.T, file string) bus.Identity {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := nkeys.ParseDecoratedUserNKey(b)
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	return bus.Identity{Seed: seed, PublicKey: public}
}
