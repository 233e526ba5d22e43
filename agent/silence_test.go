package agent_test

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"kedge/agent"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/proto"
	"kedge/proto/bus"
)

func (w *world) Answers(context.Context) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.answers
}

// StartReboot takes a while, and fails as often as the world says.
func (w *world) StartReboot(ctx context.Context) (err error) {
	if last, err := w.files.Resort(); err != nil || last.Deployment == "" || !last.Rebooted.IsZero() {
		w.t.Errorf("the host is asked to reboot while %+v is remembered (%v)", last, err)
	}
	w.mu.Lock()
	takes := w.rebooting
	w.mu.Unlock()
	if takes > 0 {
		time.Sleep(takes)
	}
	w.change(func() {
		if err = ctx.Err(); err != nil {
			return
		}
		if w.refusals > 0 {
			w.refusals--
			err = errors.New("another job is queued that cannot be replaced")
			return
		}
		w.rebooted++
	})
	return err
}

// timesRebooted returns how often the host was to go down.
func (w *world) timesRebooted() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rebooted
}

// silent is settledOn after a way back that left the host without contact, half
// an hour ago.
func silent() agent.Observation {
	return with(ended(proto.PhaseInconclusive, proto.ReasonNoContact, 1), func(o *agent.Observation) {
		o.Order = nil
		o.Silence = agent.Silence{Since: o.Now.Add(-30 * time.Minute), After: 30 * time.Minute}
	})
}

func TestDecideSilence(t *testing.T) {
	for _, tt := range []struct {
		name   string
		o      agent.Observation
		want   agent.Action
		reason proto.Reason
		again  time.Duration // from now
	}{
		{"for long enough", silent(), agent.ActionResort, proto.ReasonLastResort, 0},
		{"not yet", with(silent(), func(o *agent.Observation) { o.Silence.After += time.Minute }), agent.ActionRest, proto.ReasonNoDesired, time.Minute},
		{"nothing to resort to", with(silent(), func(o *agent.Observation) { o.Silence = agent.Silence{} }), agent.ActionRest, proto.ReasonNoDesired, 0},
		{"suspended", with(silent(), func(o *agent.Observation) {
			o.Suspended = &statefile.Suspension{Since: o.Now}
		}), agent.ActionRest, proto.ReasonNoDesired, 0},
		{"held back, however long", with(silent(), func(o *agent.Observation) {
			o.RebootVetoes, o.InhibitMax = []statefile.Veto{{Who: "backup"}}, time.Minute
		}), agent.ActionRest, proto.ReasonNoDesired, 0},
		{"while the store is read", with(silent(), func(o *agent.Observation) { o.Verifying = true }), agent.ActionRest, proto.ReasonNoDesired, 0},
		{"with something to do", with(silent(), func(o *agent.Observation) {
			o.Order = &proto.Order{Assignment: proto.Assignment{Serial: 8}, Release: proto.Release{Toplevel: pathC}}
		}), agent.ActionDeploy, proto.ReasonDeploying, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := agent.Decide(tt.o)
			if d.Action != tt.want || d.Reason != tt.reason {
				t.Errorf("got %+v, want %s, %s", d, tt.want, tt.reason)
			}
			if !d.Again.IsZero() != (tt.again > 0) || tt.again > 0 && !d.Again.Equal(tt.o.Now.Add(tt.again)) {
				t.Errorf("looks again at %s, want in %s", d.Again, tt.again)
			}
		})
	}
}

// TestTheLastResort has a host go back and hear from nobody.
func TestTheLastResort(t *testing.T) {
	const wait = time.Hour // longer than 30 min and 20 %
	inconclusive := deployment.Deployment{
		ID: "7-x", Serial: 7, Toplevel: pathB, Proven: deployment.Proven{Toplevel: pathA}, Phase: proto.PhaseInconclusive, Reason: proto.ReasonNoContact, BootID: "boot",
	}
	for _, tt := range []struct {
		name  string
		world func(w *world)
		then  func(w *world) // after 20 minutes
		want  int            // reboots
	}{
		{"nobody answers", nil, nil, 1},
		{"also after a way back that failed", func(w *world) { w.phase(proto.PhaseRollbackFailed) }, nil, 1},
		{"unless the boot default may be another system still", func(w *world) {
			w.phase(proto.PhaseRollbackFailed)
			d, err := w.files.Deployment()
			d.Registered = true
			w.must(errors.Join(err, w.files.Save(d)))
		}, nil, 0},
		{"also after one that was good", func(w *world) { w.phase(proto.PhaseRolledBack) }, nil, 1},
		{"not after what was committed", func(w *world) { w.phase(proto.PhaseCommitted) }, nil, 0},
		{"it is not allowed", func(w *world) {
			w.configure = func(c *agent.Config) { c.Reboot.LastResort = false }
		}, nil, 0},
		{"NATS is down, and a cache answers", func(w *world) { w.answers = true }, nil, 0},
		{"the host is connected, and its controller does not answer", func(w *world) { w.offline = false }, nil, 0},
		{"somebody answers once", nil, func(w *world) {
			w.change(func() { w.answers = true })
			time.Sleep(2 * time.Minute)
			w.change(func() { w.answers = false })
			time.Sleep(20 * time.Minute)
			if w.timesRebooted() > 0 {
				w.t.Error("rebooted too early")
			}
		}, 1},
		{"contact comes, and goes again", nil, func(w *world) {
			w.change(func() { w.unread = nil })
			w.ring()
			time.Sleep(time.Minute)
			w.change(func() { w.unread = bus.ErrNotConnected })
		}, 0},
		{"it never had contact", func(w *world) {
			if err := w.files.SaveFloor(proto.Floor{}); err != nil {
				w.t.Fatal(err)
			}
		}, nil, 0},
		{"it was rebooted for that before", func(w *world) {
			if err := w.files.SaveResort(statefile.Resort{Deployment: "7-x", Rebooted: time.Now()}); err != nil {
				w.t.Fatal(err)
			}
		}, nil, 0},
		{"the way back led through a boot", func(w *world) {
			d := inconclusive
			d.RollbackBoots = 1
			w.record(d)
		}, nil, 0},
		{"it was booted since", func(w *world) {
			d := inconclusive
			d.BootID = "another"
			w.record(d)
		}, nil, 0},
		{"somebody holds a reboot back", func(w *world) { w.reboots = []statefile.Veto{{Who: "backup"}} }, nil, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.configure = func(c *agent.Config) { c.Reboot.LastResort = true }
				w.unread, w.offline = bus.ErrNotConnected, true
				w.record(inconclusive)
				if err := w.files.SaveFloor(proto.Floor{Serial: 7}); err != nil {
					t.Fatal(err)
				}
				if tt.world != nil {
					tt.world(w)
				}
				w.follow()
				time.Sleep(20 * time.Minute)
				if w.timesRebooted() > 0 {
					t.Error("rebooted too early")
				}
				if tt.then != nil {
					tt.then(w)
				}
				time.Sleep(wait)
				synctest.Wait()
				if got := w.timesRebooted(); got != tt.want {
					t.Fatalf("rebooted %d times, want %d", got, tt.want)
				}
				if last, err := w.files.Resort(); err != nil || !last.Rebooted.IsZero() != (tt.want > 0) && tt.name != "it was rebooted for that before" {
					t.Errorf("remembered is %+v (%v)", last, err)
				}
			})
		})
	}
}

// TestTheLastResortIsTakenOnceItWasAccepted has systemd refuse to reboot the host.
func TestTheLastResortIsTakenOnceItWasAccepted(t *testing.T) {
	const wait = 37 * time.Minute // longer than 30 min and 20 %
	refuse := func(w *world, n int) { w.change(func() { w.refusals = n }) }
	for _, tt := range []struct {
		name string
		then func(w *world, again func()) // after all that time without anybody; again starts the agent anew
		want int                          // reboots
	}{
		{"it is not, however long", func(*world, func()) {}, 0},
		{"it is after a while", func(w *world, _ func()) {
			refuse(w, 2)
			time.Sleep(time.Minute)
		}, 1},
		{"it is after the agent was started anew", func(w *world, again func()) {
			again()
			refuse(w, 1)
			time.Sleep(wait)
		}, 1},
		{"somebody answers meanwhile", func(w *world, _ func()) {
			w.change(func() { w.answers = true })
			time.Sleep(time.Minute)
			refuse(w, 0)
			time.Sleep(wait)
		}, 0},
		{"it is while the agent stops, as the host goes down", func(w *world, again func()) {
			w.change(func() { w.refusals, w.rebooting = 0, 8*time.Second })
			time.Sleep(6 * time.Second) // it is asked again after 5
			again()
		}, 1},
		{"it was, and does not come", func(w *world, again func()) {
			refuse(w, 0)
			time.Sleep(wait)
			again()
			time.Sleep(wait)
		}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.configure = func(c *agent.Config) { c.Reboot.LastResort = true }
				w.unread, w.offline, w.refusals = bus.ErrNotConnected, true, math.MaxInt
				w.record(deployment.Deployment{
					ID: "7-x", Serial: 7, Toplevel: pathB, Proven: deployment.Proven{Toplevel: pathA}, Phase: proto.PhaseInconclusive, Reason: proto.ReasonNoContact, BootID: "boot",
				})
				w.must(w.files.SaveFloor(proto.Floor{Serial: 7}))
				_, stop := w.followUntil()
				time.Sleep(wait)
				synctest.Wait()
				w.requireResorted(0)
				tt.then(w, func() {
					stop()
					w.follow()
				})
				synctest.Wait()
				w.requireResorted(tt.want)
			})
		})
	}
}

// requireResorted fails unless the host was rebooted so often, and nothing else is told
// or remembered.
func (w *world) requireResorted(want int) {
	w.t.Helper()
	if got := w.timesRebooted(); got != want {
		w.t.Errorf("rebooted %d times, want %d", got, want)
	}
	last, err := w.files.Resort()
	w.must(err)
	if last.Rebooted.IsZero() != (want == 0) || want == 0 && last.Deployment != "" {
		w.t.Errorf("after %d reboots %+v is remembered", want, last)
	}
	told := 0
	for _, name := range w.outbox() {
		b, err := os.ReadFile(name)
		w.must(err)
		told += strings.Count(string(b), string(proto.ReasonLastResort))
	}
	if told != want {
		w.t.Errorf("told %d times, want %d", told, want)
	}
}

// outbox returns the files of the events that are to be published.
func (w *world) outbox() []string {
	w.t.Helper()
	names, err := filepath.Glob(filepath.Join(w.files.State, "outbox", "*"))
	w.must(err)
	return names
}

// phase has the record end in another phase.
func (w *world) phase(p proto.Phase) {
	w.t.Helper()
	d, err := w.files.Deployment()
	d.Phase = p
	if err := errors.Join(err, w.files.Save(d)); err != nil {
		w.t.Fatal(err)
	}
}

// TestTheLastResortIsTold has the agent be restarted before the host goes down.
func TestTheLastResortIsTold(t *testing.T) {
	w := newWorld(t)
	w.configure = func(c *agent.Config) { c.Reboot.LastResort, c.Reboot.LastResortAfter = true, 10*time.Nanosecond }
	w.record(deployment.Deployment{ID: "7-x", Serial: 7, Toplevel: pathB, Phase: proto.PhaseInconclusive, Reason: proto.ReasonNoContact, BootID: "boot"})
	if err := errors.Join(w.files.SaveFloor(proto.Floor{Serial: 7}), w.files.SaveProven(deployment.Proven{Toplevel: pathA})); err != nil {
		t.Fatal(err)
	}
	w.unread, w.offline = bus.ErrNotConnected, true
	stop := w.start()
	w.await("the reboot", func() bool { return w.rebooted == 1 })
	registry := w.registry
	stop() // not before it is told
	text := "# HELP kedge_agent_last_resort Whether the host was rebooted because nobody answered after its last deployment went back.\n" +
		"# TYPE kedge_agent_last_resort gauge\nkedge_agent_last_resort 1\n"
	if err := testutil.GatherAndCompare(registry, strings.NewReader(text), "kedge_agent_last_resort"); err != nil {
		t.Error(err)
	}
	w.change(func() { w.unread, w.offline = nil, false })
	w.start()
	w.await("the event", func() bool {
		return slices.ContainsFunc(w.events, func(e proto.Event) bool {
			return e.Reason == proto.ReasonLastResort && e.Deployment == "7-x"
		})
	})
	if got := w.timesRebooted(); got != 1 {
		t.Errorf("rebooted %d times", got)
	}
}
