package leader

import (
	"context"
	"errors"
	"log/slog"
	nurl "net/url"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"kedge/controller/internal/natstest"
	"kedge/proto"
	"kedge/proto/bus"
)

const patience = 60 * time.Second // on a machine that is busy

// startNATS starts a server that lets everybody in, with what is in dir.
func startNATS(t *testing.T, dir string, port int) *server.Server {
	t.Helper()
	o := natstest.Open(dir)
	o.Port = port
	s, err := natstest.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { natstest.Stop(s) })
	return s
}

// connect returns NATS as a controller sees it.
func connect(t *testing.T, url string) *bus.Fleet {
	t.Helper()
	c, err := natstest.Connect(t.Context(), url, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return bus.NewFleet(c, slog.New(slog.DiscardHandler))
}

// TestTheLeaseIsHandedOnByARealServer restarts the server in the middle of a term, whose
// holder then stops without a word.
func TestTheLeaseIsHandedOnByARealServer(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	dir := t.TempDir()
	s := startNATS(t, dir, server.RANDOM_PORT)
	url := s.ClientURL()
	first, second := connect(t, url), connect(t, url)
	if err := first.EnsureAssets(ctx, 1); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	a := acquire(t, ctx, Options{Bus: first, Holder: "a", Log: log}, "1")
	life, die := context.WithCancel(ctx)
	kept := make(chan error, 1)
	go func() { kept <- a.Keep(life) }()

	s.Shutdown()
	s.WaitForShutdown()
	parsed, err := nurl.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(parsed.Port())
	if err != nil {
		t.Fatal(err)
	}
	startNATS(t, dir, port)
	for seq := a.Seq(); a.Seq() == seq; { // renewed after the restart
		select {
		case err := <-kept:
			t.Fatalf("keep: %v", err) // it took too long: the machine is busy
		case <-time.After(tick):
		}
	}
	heldBy := make(chan string, 1)
	taken := make(chan *Lease, 1)
	go func() {
		b, err := Acquire(ctx, Options{Bus: second, Holder: "b", Log: log}, "2", func(holder string, _ error) {
			select {
			case heldBy <- holder:
			default:
			}
		})
		if err != nil {
			t.Errorf("acquire: %v", err)
		}
		taken <- b
	}()
	for holder := ""; holder != "a"; holder = <-heldBy { // nothing but that it waits
	}
	die()
	if err := <-kept; err != nil {
		t.Errorf("keep: %v", err)
	}
	b := <-taken
	if b == nil {
		t.FailNow()
	}
	if a.Left() > 0 {
		t.Errorf("%s of a lease are left that another has", a.Left())
	}
	if _, err := first.PutControl(ctx, proto.KeyLeader, nil, a.Seq()); !errors.Is(err, bus.ErrConflict) {
		t.Errorf("what a late holder writes: %v, want %v", err, bus.ErrConflict)
	}
	if err := b.Resign(ctx); err != nil {
		t.Error(err)
	}
}
