package notify

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"kedge/proto"
)

// fakeFleet is a fleet that tests change.
type fakeFleet struct {
	mu      sync.Mutex // guards what follows
	view    proto.FleetReply
	deaf    bool
	version uint64
	changed chan struct{}
}

func (f *fakeFleet) View() proto.FleetReply {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.view
}

func (f *fakeFleet) Version() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.version
}

func (f *fakeFleet) IsCaughtUp() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.deaf
}

func (f *fakeFleet) Await(ctx context.Context, after uint64) {
	f.mu.Lock()
	same, changed := f.version == after, f.changed
	f.mu.Unlock()
	if same {
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// be changes the fleet, and lets whoever tells of it do so.
func (w *world) be(change func(v *proto.FleetReply)) {
	w.fleet.mu.Lock()
	change(&w.fleet.view)
	w.fleet.version++
	close(w.fleet.changed)
	w.fleet.changed = make(chan struct{})
	w.fleet.mu.Unlock()
	time.Sleep(3 * time.Second)
	synctest.Wait()
}

// world is a notifier in a bubble, and what it sent.
type world struct {
	t        *testing.T
	fleet    *fakeFleet
	file     string
	registry *prometheus.Registry
	to       []Destination

	mu     sync.Mutex // guards what follows
	err    error
	tries  int
	said   []string
	stop   func()
	shared int
}

func newWorld(t *testing.T, to ...Destination) *world {
	w := &world{t: t, fleet: &fakeFleet{changed: make(chan struct{})}, file: filepath.Join(t.TempDir(), "notified.json"), to: to}
	w.start()
	return w
}

// start runs the notifier until the test ends, or stop is called.
func (w *world) start() {
	w.t.Helper()
	w.registry = prometheus.NewPedanticRegistry()
	n, err := New(Options{
		Destinations: w.to, Fleet: w.fleet, Controller: "build", File: w.file, Registry: w.registry, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Shared: func(string) error { w.mu.Lock(); defer w.mu.Unlock(); w.shared++; return nil },
		Send: func(_ context.Context, d Destination, m Message) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.tries++
			if w.err == nil {
				w.said = append(w.said, d.Name+": "+m.text(strings.NewReplacer()))
			}
			return w.err
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error)
	go func() { ended <- n.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(w.stop)
	time.Sleep(3 * time.Second)
	synctest.Wait()
}

func (w *world) answers(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
}

// tried returns how often something was to be sent.
func (w *world) tried() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tries
}

// mustHaveSaid fails the test unless that was said since the last time, in some order.
func (w *world) mustHaveSaid(when string, want ...string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if diff := cmp.Diff(want, w.said); diff != "" {
		w.t.Errorf("%s (-want +got):\n%s", when, diff)
	}
	w.said = nil
}

func host(t *testing.T, name string) proto.HostName {
	t.Helper()
	h, err := proto.ParseHostName(name)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// ended is a host whose deployment came to that.
func ended(t *testing.T, name, deployment string, v proto.Verdict, why proto.Reason) proto.HostView {
	return proto.HostView{Host: host(t, name), Channel: "main", Status: &proto.Status{
		Deployment: proto.DeploymentStatus{ID: deployment, Verdict: v, Reason: why, Message: "app.service failed"},
	}}
}

func TestEachThingIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Destination{Name: "ops"})
		w.be(func(v *proto.FleetReply) {
			v.Hosts = []proto.HostView{ended(t, "web1", "1", proto.VerdictRolledBack, proto.ReasonUnitsFailed), ended(t, "web2", "2", proto.VerdictSucceeded, "")}
			v.Rollouts = []proto.RolloutView{{ID: "r1", Channel: "main", State: proto.RolloutHalted, Why: "1 host failed", Since: time.Now()}}
		})
		w.mustHaveSaid("at first", "ops: the rollout of channel main halted itself, and waits for a person: 1 host failed\n"+
			"web1 went back to the system that worked: units-failed: app.service failed")
		w.be(func(v *proto.FleetReply) {
			v.Hosts = append(v.Hosts[:1:1], ended(t, "web2", "3", proto.VerdictRollbackFailed, proto.ReasonRollbackFailed))
		})
		w.mustHaveSaid("another host", "ops: web2 could not go back to its proven system: a person has to look: rollback-failed: app.service failed")

		// The controller ends, and starts again before it has heard of anybody.
		w.stop()
		w.fleet.deaf = true
		before := w.fleet.view
		w.fleet.view = proto.FleetReply{}
		w.start()
		w.be(func(v *proto.FleetReply) { *v = before; w.fleet.deaf = false })
		w.mustHaveSaid("after a restart")

		w.be(func(v *proto.FleetReply) {
			v.Hosts = []proto.HostView{ended(t, "web1", "4", proto.VerdictRolledBack, proto.ReasonUnitsFailed)}
			v.Rollouts = []proto.RolloutView{{ID: "r1", Channel: "main", State: proto.RolloutRunning}}
		})
		w.mustHaveSaid("the next deployment", "ops: web1 went back to the system that worked: units-failed: app.service failed")
		w.be(func(v *proto.FleetReply) {
			v.Rollouts = []proto.RolloutView{{ID: "r1", Channel: "main", State: proto.RolloutHalted, Since: time.Now()}}
		})
		w.mustHaveSaid("it halts again", "ops: the rollout of channel main halted itself, and waits for a person")
		if w.shared == 0 {
			t.Error("no other controller knows what was told")
		}
	})
}

func TestWhoIsNewIsToldWhatIsNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Destination{Name: "ops", Events: []Event{RollbackFailed, RolledBack}})
		w.be(func(v *proto.FleetReply) {
			v.Hosts = []proto.HostView{ended(t, "web1", "1", proto.VerdictRolledBack, ""), ended(t, "web2", "1", proto.VerdictFailed, "")}
		})
		w.mustHaveSaid("of what it wants", "ops: web1 went back to the system that worked: app.service failed")
		w.stop()
		w.to = append(w.to, Destination{Name: "chat"})
		w.start()
		w.mustHaveSaid("what chat could read elsewhere")
		w.be(func(v *proto.FleetReply) { v.Hosts = []proto.HostView{ended(t, "web1", "2", proto.VerdictFailed, "")} })
		w.mustHaveSaid("what is new", "chat: web1 got nothing new: app.service failed")
	})
}

func TestWhatCannotBeSentIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Destination{Name: "ops"})
		w.answers(errors.New("connection refused"))
		w.be(func(v *proto.FleetReply) {
			v.Hosts = []proto.HostView{ended(t, "web1", "1", proto.VerdictRolledBack, ""), ended(t, "web2", "1", proto.VerdictRolledBack, "")}
		})
		time.Sleep(time.Hour)
		if n := w.tried(); n < 6 || n > 14 {
			t.Errorf("tried %d times within an hour", n)
		}
		w.be(func(v *proto.FleetReply) { v.Hosts = v.Hosts[:1] }) // web2 is well again
		time.Sleep(20 * time.Minute)
		w.answers(nil)
		time.Sleep(20 * time.Minute)
		w.mustHaveSaid("in the end", "ops: web1 went back to the system that worked: app.service failed")
		if err := testutil.GatherAndCompare(w.registry, strings.NewReader(`
# HELP kedge_controller_notifications_pending Notices that a destination was not told yet, when that was last tried.
# TYPE kedge_controller_notifications_pending gauge
kedge_controller_notifications_pending{destination="ops"} 0
`), "kedge_controller_notifications_pending"); err != nil {
			t.Error(err)
		}
		if dropped := w.counted(t, "dropped"); dropped != 1 {
			t.Errorf("%v notices dropped, want that of web2", dropped)
		}
	})
}

// counted returns how often something came to a result.
func (w *world) counted(t *testing.T, result string) (n float64) {
	t.Helper()
	all, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range all {
		for _, m := range family.GetMetric() {
			for _, l := range m.GetLabel() {
				if family.GetName() == "kedge_controller_notifications_total" && l.GetValue() == result {
					n += m.GetCounter().GetValue()
				}
			}
		}
	}
	return n
}

func TestASourceIsToldAfterAWhileAndNotWithEveryTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Destination{Name: "ops"})
		source := func(reason proto.Reason, working bool) {
			w.be(func(v *proto.FleetReply) {
				v.Sources = []proto.SourceStatus{{Channel: "main", Checked: time.Now(), Reason: reason, Error: string(reason), Working: working}}
			})
		}
		source(proto.ReasonSourceUnreachable, false)
		source("", false)
		w.mustHaveSaid("a moment without its repository")
		source(proto.ReasonSourceUnreachable, false)
		time.Sleep(7 * time.Minute)
		w.mustHaveSaid("several minutes", "ops: the repository of channel main cannot be looked at: source-unreachable: source-unreachable")
		source(proto.ReasonBuildFailed, false)
		source("", true)
		source(proto.ReasonBuildFailed, false)
		source(proto.ReasonSourceUnreachable, false)
		source(proto.ReasonBuildFailed, false)
		w.mustHaveSaid("a build that fails, and is tried again", "ops: the newest revision of channel main does not get out, or not for every host: build-failed: build-failed")
	})
}

// A host without a cache tries every few minutes, for as long as that takes.
func TestADeploymentThatIsTriedAgainIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Destination{Name: "ops"})
		const a, b = "/nix/store/0c7c96gikmzv87i7lv3vq5s1cmfjd6zf-a", "/nix/store/1c7c96gikmzv87i7lv3vq5s1cmfjd6zf-b"
		attempt := func(id, toplevel string, v proto.Verdict) {
			w.be(func(f *proto.FleetReply) {
				h := ended(t, "web1", id, v, "")
				if err := h.Status.Deployment.Toplevel.UnmarshalText([]byte(toplevel)); err != nil {
					t.Fatal(err)
				}
				f.Hosts = []proto.HostView{h}
			})
		}
		attempt("7-a", a, proto.VerdictFailed)
		w.mustHaveSaid("the first attempt", "ops: web1 got nothing new: app.service failed")
		attempt("7-b", a, proto.VerdictPending)
		attempt("7-b", a, proto.VerdictFailed)
		attempt("7-c", a, proto.VerdictFailed)
		w.mustHaveSaid("further attempts")
		attempt("8-a", b, proto.VerdictPending)
		attempt("8-a", b, proto.VerdictFailed)
		w.mustHaveSaid("another system", "ops: web1 got nothing new: app.service failed")
		attempt("8-b", b, proto.VerdictSucceeded)
		attempt("9-a", b, proto.VerdictFailed)
		w.mustHaveSaid("after it went well", "ops: web1 got nothing new: app.service failed")
	})
}

// TestAHostThatGoesBackAgainAndAgainIsToldOfNowAndThen: whoever is root there has it do so every few seconds.
func TestAHostThatGoesBackAgainAndAgainIsToldOfNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Destination{Name: "ops"})
		goBack := func(name, id string) {
			w.be(func(v *proto.FleetReply) { v.Hosts = []proto.HostView{ended(t, name, id, proto.VerdictRolledBack, "")} })
		}
		const line = "web1 went back to the system that worked: app.service failed"
		for i := range 100 { // 5 minutes
			goBack("web1", strconv.Itoa(i))
		}
		w.mustHaveSaid("of a hundred times", "ops: "+line, "ops: "+line, "ops: "+line)
		if held := w.counted(t, "held"); held != 97 {
			t.Errorf("%v are counted as held back", held)
		}
		time.Sleep(10 * time.Minute) // the last one is so still
		w.mustHaveSaid("later", "ops: (96 others held back) "+line)
		goBack("web1", "again")
		w.mustHaveSaid("at its leisure", "ops: "+line)
		goBack("web2", "1")
		w.mustHaveSaid("another host", "ops: web2 went back to the system that worked: app.service failed")
		w.be(func(v *proto.FleetReply) {
			v.Hosts = []proto.HostView{ended(t, "web1", "bad", proto.VerdictRollbackFailed, "")}
		})
		w.mustHaveSaid("of another kind", "ops: web1 could not go back to its proven system: a person has to look: app.service failed")
	})
}

func TestEveryEventCanBeInForce(t *testing.T) {
	view := proto.FleetReply{
		Rollouts: []proto.RolloutView{
			{ID: "1", Channel: "a", State: proto.RolloutHalted},
			{ID: "2", Channel: "b", State: proto.RolloutReverting},
			{ID: "3", Channel: "c", State: proto.RolloutDone},
			{ID: "4", Channel: "main", State: proto.RolloutRunning},
		},
		Sources: []proto.SourceStatus{{Channel: "a", Reason: proto.ReasonSourceUnreachable}, {Channel: "b", Reason: proto.ReasonEvalFailed}, {Channel: "c", PushedOver: &proto.ForcePush{}}},
		Hosts: []proto.HostView{
			ended(t, "h1", "1", proto.VerdictRolledBack, ""), ended(t, "h2", "1", proto.VerdictRollbackFailed, ""), ended(t, "h3", "1", proto.VerdictFailed, ""),
			{Host: host(t, "h4"), Channel: "main", Rival: &proto.Rival{}, Waits: &proto.RolloutWait{For: proto.ReasonAwaitingApproval}},
			{Host: host(t, "h6"), Channel: "main", Waits: &proto.RolloutWait{For: proto.ReasonCanaryDeferred, Message: "see to web1"}},
			{Host: host(t, "h5"), Status: &proto.Status{Conditions: []proto.Condition{{Type: proto.ConditionAccepted, Status: proto.StatusFalse, Reason: proto.ReasonFreeze}}}},
		},
	}
	var got []Event
	keys := map[string]bool{}
	for _, n := range InForce(view) {
		got = append(got, n.Event)
		keys[n.Key] = true
		if strings.Contains(n.Line(), "  ") || strings.HasPrefix(n.Line(), " ") {
			t.Errorf("%s says %q", n.Event, n.Line())
		}
	}
	if diff := cmp.Diff(Events(), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(keys) != len(got) {
		t.Errorf("keys are %v", keys)
	}
}
