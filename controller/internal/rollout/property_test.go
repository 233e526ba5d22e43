package rollout_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/controller/internal/rollout"
	"kedge/proto"
)

// world is a fleet and a runner that crash at random. It holds what is durable:
// what was published, and the rollout as it was last saved.
type world struct {
	rand      *rand.Rand
	saved     []byte
	fleet     rollout.Fleet
	published map[proto.HostName]int
	now       time.Time
}

// TestEveryRolloutFinishes runs rollouts over fleets that come, go, fail and
// are overtaken, by a runner that crashes between effects and save, and requires
// of each: it ends, without waiting for silent hosts; every host was published
// its toplevel exactly once, or had it; no wave was begun before the one before
// had ended.
func TestEveryRolloutFinishes(t *testing.T) {
	for seed := range uint64(300) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newWorld(t, seed)
			steps := 0
			for !w.step(t) {
				w.now = w.now.Add(time.Minute)
				w.hostsMove()
				if steps++; steps > 2000 {
					t.Fatalf("no end after %d steps; rollout: %s", steps, w.saved)
				}
			}
			w.check(t)
		})
	}
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		rand: rand.New(rand.NewPCG(seed, 1)), now: start,
		fleet: rollout.Fleet{}, published: map[proto.HostName]int{},
	}
	r := rollout.Rollout{ID: fmt.Sprint("r", seed), Created: start, State: rollout.Running, Hosts: map[proto.HostName]rollout.Progress{}}
	for n := range w.rand.IntN(4) {
		wave := rollout.Wave{Name: fmt.Sprint("wave ", n), Soak: time.Duration(w.rand.IntN(3)) * time.Minute}
		for i := range w.rand.IntN(5) {
			h := host(t, fmt.Sprintf("w%dh%d", n, i))
			wave.Hosts = append(wave.Hosts, h)
			r.Hosts[h] = rollout.Progress{Toplevel: toplevel(t, h.String()), State: rollout.Waiting, Since: start}
			switch w.rand.IntN(4) {
			case 0: // never heard of
			case 1:
				w.fleet[h] = rollout.Host{Toplevel: toplevel(t, h.String()), Serial: 4, Reported: 4, Verdict: proto.VerdictSucceeded}
			default:
				w.fleet[h] = rollout.Host{Toplevel: toplevel(t, "old"), Serial: 4, Reported: 4, Verdict: proto.VerdictSucceeded}
			}
		}
		r.Waves = append(r.Waves, wave)
	}
	w.save(t, r)
	return w
}

// step lets the runner do what there is to do, and reports whether the rollout
// has ended. It may crash at any point.
func (w *world) step(t *testing.T) bool {
	r, err := rollout.Parse(w.saved)
	if err != nil {
		t.Fatal(err)
	}
	actions := rollout.Next(r, w.fleet, w.now)
	if again := rollout.Next(r, w.fleet, w.now); !cmp.Equal(actions, again, comparers) {
		t.Fatalf("Next answers differently when asked twice: %v, then %v", actions, again)
	}
	if unchanged, err := r.Encode(); err != nil || string(unchanged) != string(w.saved) {
		t.Fatalf("Next changed the rollout (%v): %s, was %s", err, unchanged, w.saved)
	}
	for _, a := range actions {
		var serial proto.Serial
		if a.Kind == rollout.Publish {
			serial = w.publish(a)
		}
		if w.rand.IntN(6) == 0 {
			return false // crashed before anything was saved
		}
		before, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		next, err := r.Apply([]rollout.Result{{Action: a, Serial: serial}}, w.now)
		if err != nil {
			t.Fatalf("an action that Next asked for is refused: %v", err)
		}
		if unchanged, err := r.Encode(); err != nil || string(unchanged) != string(before) {
			t.Fatalf("Apply changed its receiver: %s, was %s", unchanged, before)
		}
		r = next
	}
	w.save(t, r)
	return r.State != rollout.Running
}

func (w *world) publish(a rollout.Action) proto.Serial {
	h := w.fleet[a.Host]
	h.Toplevel, h.Serial = a.Toplevel, h.Serial+1
	if _, heardOf := w.fleet[a.Host]; !heardOf {
		h.Silent = true
	}
	w.fleet[a.Host] = h
	w.published[a.Host]++
	return h.Serial
}

// hostsMove lets hosts come, go, and come to verdicts.
func (w *world) hostsMove() {
	verdicts := append(proto.Verdicts(), proto.VerdictSucceeded, proto.VerdictSucceeded)
	for name, h := range w.fleet {
		switch w.rand.IntN(5) {
		case 0:
			h.Silent = !h.Silent
		case 1:
			if !h.Silent {
				h.Reported, h.Verdict = h.Serial, verdicts[w.rand.IntN(len(verdicts))]
			}
		}
		w.fleet[name] = h
	}
}

func (w *world) check(t *testing.T) {
	r, err := rollout.Parse(w.saved)
	if err != nil {
		t.Fatal(err)
	}
	if r.State != rollout.Done {
		t.Errorf("state: got %s, want %s", r.State, rollout.Done)
	}
	if got := rollout.Next(r, w.fleet, w.now.Add(time.Hour)); len(got) > 0 {
		t.Errorf("a rollout that is done still wants %v", got)
	}
	for n, wave := range r.Waves {
		if wave.Started.IsZero() || wave.Ended.Before(wave.Started.Add(wave.Soak)) {
			t.Errorf("wave %d: started %s, ended %s, soak %s", n, wave.Started, wave.Ended, wave.Soak)
		}
		if n > 0 && wave.Started.Before(r.Waves[n-1].Ended) {
			t.Errorf("wave %d started %s, before the one before ended %s", n, wave.Started, r.Waves[n-1].Ended)
		}
		for _, h := range wave.Hosts {
			p := r.Hosts[h]
			if want := w.fleet[h].Toplevel; p.Toplevel != want {
				t.Errorf("host %s was left with %s, want %s", h, want, p.Toplevel)
			}
			if n := w.published[h]; n > 1 {
				t.Errorf("host %s was published to %d times", h, n)
			}
			if p.State == rollout.Waiting {
				t.Errorf("host %s is still waiting", h)
			}
		}
	}
}

func (w *world) save(t *testing.T, r rollout.Rollout) {
	t.Helper()
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	w.saved = b
}

var comparers = cmp.Options{
	cmp.Comparer(func(a, b proto.HostName) bool { return a == b }),
	cmp.Comparer(func(a, b proto.StorePath) bool { return a == b }),
	cmp.Comparer(func(a, b proto.Revision) bool { return a == b }),
}
