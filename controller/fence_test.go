package controller

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kedge/controller/internal/publish"
	"kedge/controller/internal/replica"
	"kedge/controller/internal/sign"
	"kedge/proto"
	"kedge/proto/bus"
)

// fenceBus is NATS, for controllers that share it. Any call of one controller can be held
// up, before its effect or after it.
type fenceBus struct {
	mu      sync.Mutex // guards what follows
	seq     uint64
	values  map[string]bus.Raw
	history []proto.Target // of every statement that was stored, in order
	signer  *sign.Signer
}

func (b *fenceBus) put(key string, data []byte, last uint64) (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.values[key].Seq != last {
		return 0, bus.ErrConflict
	}
	b.seq++
	b.values[key] = bus.Raw{Data: data, Seq: b.seq}
	return b.seq, nil
}

func (b *fenceBus) get(key string) bus.Raw {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.values[key]
}

// fenceConn is one controller's connection.
type fenceConn struct {
	*fenceBus

	mu      sync.Mutex // guards calls
	calls   int
	pauseAt int // the call that is held up; -1 for none
	applied bool
	paused  chan struct{} // closed when it is
	resume  chan struct{} // lets it go on
}

func (c *fenceConn) do(effect func()) {
	c.mu.Lock()
	n := c.calls
	c.calls++
	c.mu.Unlock()
	if n != c.pauseAt {
		effect()
		return
	}
	if c.applied {
		effect()
	}
	close(c.paused)
	<-c.resume
	if !c.applied {
		effect() // it was on its way all the time
	}
}

func (c *fenceConn) PutControl(_ context.Context, key string, data []byte, last uint64) (seq uint64, err error) {
	c.do(func() { seq, err = c.put("control "+key, data, last) })
	return seq, err
}

func (c *fenceConn) GetControl(_ context.Context, key string) (r bus.Raw, err error) {
	c.do(func() { r = c.get("control " + key) })
	return r, nil
}

func (c *fenceConn) NextControl(_ context.Context, from uint64) (key string, r bus.Raw, err error) {
	c.fenceBus.mu.Lock()
	defer c.fenceBus.mu.Unlock()
	err = bus.ErrNotFound
	for k, v := range c.values {
		name, control := cutControl(k)
		if control && v.Seq >= from && (err != nil || v.Seq < r.Seq) {
			key, r, err = name, v, nil
		}
	}
	return key, r, err
}

func cutControl(key string) (string, bool) {
	const prefix = "control "
	return key[min(len(key), len(prefix)):], len(key) > len(prefix) && key[:len(prefix)] == prefix
}

func (c *fenceConn) PutDesired(_ context.Context, host proto.HostName, data []byte, last uint64) (seq uint64, err error) {
	c.do(func() {
		if seq, err = c.put("desired "+host.String(), data, last); err != nil {
			return
		}
		var d proto.Desired
		if d, err = proto.ParseDesired(data); err != nil {
			return
		}
		a, opens := c.signer.OpenAssignment(d.Assignment)
		r, also := c.signer.OpenRelease(d.Release)
		if err = errors.Join(opens, also); err != nil {
			return
		}
		c.fenceBus.mu.Lock()
		defer c.fenceBus.mu.Unlock()
		c.history = append(c.history, proto.Target{Serial: a.Serial, Toplevel: r.Toplevel})
	})
	return seq, err
}

func (c *fenceConn) GetDesired(_ context.Context, host proto.HostName) (r bus.Raw, err error) {
	c.do(func() { r = c.get("desired " + host.String()) })
	if r.Seq == 0 {
		return r, bus.ErrNoDesired
	}
	return r, nil
}

func (c *fenceConn) DesiredHosts(context.Context) ([]proto.HostName, error) { return nil, nil }

func (c *fenceConn) Audit(context.Context, proto.AuditEntry) error { return nil }

// fenced is a controller that believes that it leads, whatever is so.
type fencedController struct {
	conn  *fenceConn
	dir   string
	key   []byte
	state *replica.Store
	p     *publish.Publisher
}

// take takes the lead.
func (f *fencedController) take(t *testing.T, signer *sign.Signer) error {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	state, err := replica.Open(replica.Options{Bus: f.conn, Dir: f.dir, Parts: sharedParts(), Key: f.key, Log: log})
	if err != nil {
		return err
	}
	at := f.conn.get("control leader").Seq
	if at, err = f.conn.put("control leader", nil, at); err != nil {
		return err
	}
	if err := state.Lead(t.Context(), at, func(time.Duration) error { return nil }); err != nil {
		return err
	}
	f.state = state
	f.p, err = publish.Open(publish.Options{
		Shelf: publish.Files{Dir: filepath.Join(f.dir, desiredDir), WithdrawalsFile: filepath.Join(f.dir, withdrawalsFile), Shared: state.Copy},
		Bus:   f.conn, Signer: signer, Log: log,
	})
	return err
}

// act does everything that a controller does to a host, and stops at the first failure,
// as one does that must not lead on.
func (f *fencedController) act(t *testing.T, signer *sign.Signer, host proto.HostName, toplevels ...proto.StorePath) error {
	t.Helper()
	for _, toplevel := range toplevels {
		e, err := signer.Release(proto.Release{
			Host: host, Serial: f.p.NextRelease(host), Toplevel: toplevel, Closure: proto.DigestOf([]byte(toplevel.String())),
		})
		if err != nil {
			return err
		}
		if _, err := f.p.Publish(t.Context(), "test", publish.Order{Release: e, Mode: proto.ModeSwitch}); err != nil {
			return err
		}
		if err := f.p.Sync(t.Context()); err != nil {
			return err
		}
	}
	return nil
}

// TestAPausedLeaderChangesNothingBehindTheNextOne holds a leader up at the n-th call to
// NATS, before its effect or after it, for every n. Another one takes over and publishes;
// then the first one goes on, and believes that it leads still. No serial may ever stand
// for two things, none may be put after a higher one, and what the last leader said stands.
func TestAPausedLeaderChangesNothingBehindTheNextOne(t *testing.T) {
	signer, err := sign.Open(sign.Options{Dir: t.TempDir(), Name: "test", Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	host := parseHost(t, "web1")
	top := func(c string) proto.StorePath {
		p, err := proto.ParseStorePath(proto.StoreDir + strings.Repeat(c, 32) + "-nixos-system")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, applied := range []bool{false, true} {
		for n := 0; ; n++ {
			name := fmt.Sprintf("held up at call %d, applied %t", n, applied)
			b := &fenceBus{values: map[string]bus.Raw{}, signer: signer}
			first := &fencedController{dir: t.TempDir(), key: make([]byte, 32), conn: &fenceConn{
				fenceBus: b, pauseAt: n, applied: applied, paused: make(chan struct{}), resume: make(chan struct{}),
			}}
			ended := make(chan error, 1)
			if err := first.take(t, signer); err != nil {
				t.Fatal(err)
			}
			go func() { ended <- first.act(t, signer, host, top("a"), top("b"), top("a")) }()
			held := false
			select {
			case <-first.conn.paused:
				held = true
			case err := <-ended:
				if err != nil {
					t.Fatalf("%s: it failed by itself: %v", name, err)
				}
			}
			second := &fencedController{dir: t.TempDir(), key: first.key, conn: &fenceConn{fenceBus: b, pauseAt: -1}}
			if err := second.take(t, signer); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			err := second.act(t, signer, host, top("c"))
			close(first.conn.resume)
			if held {
				<-ended // with an error, or done: it may have been at its end
			}
			if err != nil {
				t.Fatalf("%s: the next leader: %v", name, err)
			}
			// It may meet what was on its way; then it is started again, and goes on.
			if err := second.act(t, signer, host, top("d")); err != nil {
				if err := second.take(t, signer); err != nil {
					t.Fatalf("%s: started again: %v", name, err)
				}
				if err := second.act(t, signer, host, top("d")); err != nil {
					t.Fatalf("%s: after it was started again: %v", name, err)
				}
			}
			checkStatements(t, name, b.history, top("c"), top("d"))
			if !held {
				if n < 6 {
					t.Fatalf("%s: only %d calls were made: the test is blind", name, n)
				}
				break
			}
		}
	}
}

// checkStatements requires that statements were put in order, each serial stands for one
// thing, and those wanted were made, the last one at the end.
func checkStatements(t *testing.T, name string, history []proto.Target, want ...proto.StorePath) {
	t.Helper()
	last := proto.Serial(0)
	said := map[proto.Serial]proto.StorePath{}
	var toplevels []proto.StorePath
	for _, target := range history {
		if before, again := said[target.Serial]; again && before != target.Toplevel {
			t.Errorf("%s: serial %s stood for %s and %s", name, target.Serial, before, target.Toplevel)
		}
		if target.Serial < last {
			t.Errorf("%s: serial %s was put after %s", name, target.Serial, last)
		}
		said[target.Serial], last = target.Toplevel, target.Serial
		toplevels = append(toplevels, target.Toplevel)
	}
	for _, w := range want {
		if !slices.Contains(toplevels, w) {
			t.Errorf("%s: %s was never published", name, w)
		}
	}
	if len(toplevels) == 0 || toplevels[len(toplevels)-1] != want[len(want)-1] {
		t.Errorf("%s: the last statement is of %v, want %s", name, toplevels, want[len(want)-1])
	}
}
