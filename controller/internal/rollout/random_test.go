package rollout_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"kedge/controller/internal/rollout"
	"kedge/internal/spec"
	"kedge/internal/window"
	"kedge/proto"
)

var onlySeed = flag.Int64("seed", -1, "play only the random rollout of this seed")

// How many random rollouts there are, and how many steps of each are wild before
// everything comes to rest: hosts come back and succeed, windows open, and people let
// go of what they hold.
const (
	randomRollouts = 2000
	wildSteps      = 25
	calmSteps      = 300
)

// TestRandomRollouts plays rollouts over fleets that come, go, fail and are
// overtaken, with people who interfere, by a runner that crashes between effects and
// save. What must always be true is checked at every step; see world.check.
func TestRandomRollouts(t *testing.T) {
	ends := map[rollout.State]int{}
	for seed := range uint64(randomRollouts) {
		if *onlySeed >= 0 && seed != uint64(*onlySeed) { //nolint:gosec // not negative
			continue
		}
		w := newWorld(t, seed)
		for steps := 0; !w.rollout.State.Ended(); steps++ {
			if steps > wildSteps+calmSteps {
				t.Fatalf("seed %d: no end: it is %s, in wave %d of %d", seed, w.rollout.State, w.rollout.Wave, len(w.rollout.Waves))
			}
			w.now = w.now.Add(time.Duration(w.IntN(90)) * time.Minute)
			if steps < wildSteps {
				w.interfere()
				w.hostsMove()
			} else {
				w.calmDown()
			}
			w.run()
		}
		w.checkEnd()
		ends[w.rollout.State]++
		if t.Failed() {
			t.Fatalf("that was seed %d; -seed=%d plays it alone", seed, seed)
		}
	}
	if *onlySeed >= 0 {
		return
	}
	for _, s := range []rollout.State{rollout.Done, rollout.Reverted, rollout.Aborted, rollout.Superseded} {
		if ends[s] == 0 {
			t.Errorf("no rollout ended %s: %v", s, ends)
		}
	}
}

// A world is a fleet, the people who look after it, and a runner. It knows by
// itself what it may and must not see.
type world struct {
	*rand.Rand
	t       *testing.T
	seed    uint64
	now     time.Time
	hosts   []proto.HostName // sorted
	unbuilt []proto.HostName // who may join them
	own     proto.HostName   // zero if there is none
	spec    spec.Spec
	fleet   rollout.Fleet
	rollout rollout.Rollout
	serial  proto.Serial
	sent    map[proto.HostName]int             // since somebody last asked for another try, or for the way back
	had     map[proto.HostName]proto.StorePath // that it succeeded with before the rollout
	hotfix  map[proto.HostName]bool            // a person published something else
	wasHeld map[proto.HostName]bool
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		Rand: rand.New(rand.NewPCG(seed, 1)), t: t, seed: seed, now: start, serial: 10,
		sent: map[proto.HostName]int{}, had: map[proto.HostName]proto.StorePath{}, hotfix: map[proto.HostName]bool{}, wasHeld: map[proto.HostName]bool{},
		fleet: rollout.Fleet{Hosts: map[proto.HostName]rollout.Host{}, Since: start},
	}
	d := rollout.Draft{ID: fmt.Sprint("r", seed), Created: start}
	for i := range w.IntN(14) {
		h := host(t, fmt.Sprint("h", i))
		d.Meant = append(d.Meant, h)
		if w.IntN(8) == 0 {
			w.unbuilt = append(w.unbuilt, h)
			w.settle(h)
			continue
		}
		w.hosts = append(w.hosts, h)
		d.Targets = append(d.Targets, rollout.Target{Host: h, Toplevel: system(t, h, "new")})
		w.settle(h)
	}
	slices.SortFunc(w.hosts, proto.HostName.Compare)
	if len(w.hosts) > 0 && w.IntN(2) == 0 {
		w.own = w.hosts[w.IntN(len(w.hosts))]
	}
	w.spec = w.randomSpec()
	d.Spec, d.Own, d.Fleet = w.spec, w.own, w.seen()
	w.rollout = planned(t, d)
	return w
}

// settle gives a host a past.
func (w *world) settle(name proto.HostName) {
	h := rollout.Host{Toplevel: system(w.t, name, "old"), Serial: 4, Reported: 4, Verdict: proto.VerdictSucceeded, Silent: w.IntN(6) == 0, Seen: start}
	switch w.IntN(8) {
	case 0:
		return // never heard of
	case 1:
		h = rollout.Host{Silent: true} // enrolled, and never heard of
	case 2:
		h.Toplevel = system(w.t, name, "new")
	case 3:
		h.Verdict = proto.VerdictRolledBack
	default:
		w.had[name] = h.Toplevel
	}
	w.fleet.Hosts[name] = h
}

// pick returns one of some values.
func pick[T any](w *world, of ...T) T { return of[w.IntN(len(of))] }

func (w *world) randomSpec() spec.Spec {
	if w.IntN(8) == 0 {
		return spec.Spec{}
	}
	s := spec.Spec{Hosts: map[proto.HostName]spec.Host{}}
	s.Rollout = spec.Rollout{
		Budget: w.randomBudget(), SilentAfter: 15 * time.Minute, MaxSilent: pick(w, spec.Amount{}, spec.Percent(0), spec.Percent(50)), OnBrokenBudget: pick(w, spec.Halt, spec.Halt, spec.Revert),
		Windows: w.randomWindows(), Approval: w.IntN(4) == 0,
	}
	for i := range w.IntN(4) {
		wave := spec.Wave{
			Name: fmt.Sprint("w", i), Hosts: w.randomSelector(), MaxInFlight: w.randomAmount(),
			Soak: time.Duration(w.IntN(3)) * time.Hour, Approval: w.IntN(4) == 0,
		}
		switch w.IntN(3) {
		case 0:
			wave.Canary = spec.Canary{Size: pick(w, spec.Count(1), spec.Count(2), spec.Percent(30)), Soak: time.Hour}
		case 1:
			wave.Canary = spec.Canary{Hosts: w.randomSelector()}
		}
		if w.IntN(3) == 0 {
			b := w.randomBudget()
			wave.Budget = &b
		}
		if w.IntN(3) == 0 {
			ws := w.randomWindows()
			wave.Windows = &ws
		}
		s.Rollout.Waves = append(s.Rollout.Waves, wave)
	}
	for _, h := range w.hosts {
		if w.IntN(10) == 0 {
			s.Hosts[h] = spec.Host{Hold: "by the spec"}
		}
	}
	return s
}

func (w *world) randomSelector() spec.Selector {
	s, err := spec.ParseSelector(pick(w, "all", "h?", "h1*", "h3 or h5 or h6", "not h1", "h2"))
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) randomAmount() spec.Amount {
	return pick(w, spec.Amount{}, spec.Count(1), spec.Count(2), spec.Percent(20), spec.Percent(50))
}

func (w *world) randomBudget() spec.Budget {
	return spec.Budget{
		Failed:  pick(w, spec.Amount{}, spec.Count(0), spec.Count(1), spec.Count(3), spec.Percent(30)),
		Silent:  w.randomAmount(),
		Success: pick(w, spec.Amount{}, spec.Amount{}, spec.Percent(50), spec.Count(2)),
	}
}

func (w *world) randomWindows() spec.Windows {
	all := func(texts ...string) (ws window.Windows) {
		for _, text := range texts {
			parsed, err := window.Parse(text)
			if err != nil {
				w.t.Fatal(err)
			}
			ws = append(ws, parsed)
		}
		return ws
	}
	return spec.Windows{
		Allow:   pick(w, nil, nil, all("09:00-18:00"), all("Mon-Fri 22:00-06:00 America/New_York", "Sat 00:00-24:00")),
		Deny:    pick(w, nil, nil, all("12:00-13:00 Europe/Berlin")),
		Overrun: pick(w, spec.Finish, spec.Pause),
	}
}

// hostsMove lets hosts come, go, and come to verdicts, and people replace what was
// published.
func (w *world) hostsMove() {
	verdicts := append(proto.Verdicts(), proto.VerdictSucceeded, proto.VerdictSucceeded, proto.VerdictSucceeded, proto.VerdictSucceeded)
	for _, name := range w.hosts {
		h, known := w.fleet.Hosts[name]
		if !known && w.IntN(9) > 0 {
			continue
		}
		if !known {
			h.Silent, h.Seen = w.IntN(2) == 0, w.now
		}
		switch w.IntN(12) {
		case 0:
			h.Silent, h.Seen = !h.Silent, w.now
		case 1, 2, 3, 4:
			if !h.Silent {
				h.Reported, h.Verdict, h.Retries = h.Serial, pick(w, verdicts...), w.IntN(2) == 0
				h.Defers = h.Verdict == proto.VerdictPending && w.IntN(2) == 0
			}
		case 5:
			if w.IntN(6) == 0 {
				w.serial++
				h.Toplevel, h.Serial = system(w.t, name, "hotfix"), w.serial
				w.hotfix[name], w.sent[name] = true, 0
			}
		case 6:
			h.Held = pick(w, "", "", "somebody looks at it")
			w.wasHeld[name] = w.wasHeld[name] || h.Held != ""
		case 7:
			if h.Serial > 0 {
				w.serial++ // it is signed anew
				h.Serial = w.serial
			}
		}
		w.fleet.Hosts[name] = h
	}
}

// interfere lets a person do something, now and then.
func (w *world) interfere() {
	r, a := w.rollout.Recall(w.seen(), w.now), rollout.Act{By: "alice", At: w.now}
	switch w.IntN(24) {
	case 0:
		w.act(r.Pause(a))
	case 1, 2:
		w.act(r.Resume(a))
	case 3, 4:
		w.act(r.Promote(w.seen(), nil, a))
	case 5, 6, 7:
		w.retry()
	case 8:
		if w.IntN(8) == 0 {
			w.revert()
		}
	case 9:
		if back := w.rollout.State == rollout.Reverting; back || w.IntN(10) == 0 {
			w.act(r.Abort(a))
			if back || w.IntN(2) == 0 {
				w.revert() // after all
			}
		}
	case 10:
		if w.IntN(10) == 0 {
			w.act(r.Supersede(a))
		}
	case 11:
		w.fleet.Frozen = pick(w, "", "holidays")
	case 12:
		w.fleet.Since = w.now // the controller was restarted
	case 13:
		w.join()
	case 14, 15:
		w.cut()
	}
}

// cut lets all hosts fall silent, or be heard again.
func (w *world) cut() {
	silent := w.IntN(2) == 0
	for _, name := range w.hosts {
		if h, known := w.fleet.Hosts[name]; known && h.Silent != silent {
			h.Silent, h.Seen = silent, w.now
			w.fleet.Hosts[name] = h
		}
	}
}

// act takes the rollout after something that somebody did; it may have been
// refused.
func (w *world) act(r rollout.Rollout, _ error) { w.rollout = r }

func (w *world) retry() {
	before := w.rollout.Recall(w.seen(), w.now)
	w.act(before.Retry(rollout.Act{By: "alice", At: w.now}))
	for h, p := range w.rollout.Hosts {
		if p.State == rollout.Waiting && before.Hosts[h].State != rollout.Waiting {
			w.sent[h] = 0
		}
	}
}

func (w *world) revert() {
	w.act(w.rollout.Recall(w.seen(), w.now).Revert(rollout.Act{By: "alice", At: w.now}))
	if w.rollout.State == rollout.Reverting {
		clear(w.sent)
	}
}

func (w *world) join() {
	name := pick(w, append(w.unbuilt, host(w.t, "late"))...)
	next, err := w.rollout.Join(rollout.Draft{
		Created: w.now, Fleet: w.seen(), Spec: w.spec, Targets: []rollout.Target{{Host: name, Toplevel: system(w.t, name, "new")}},
	})
	if err == nil && !slices.Contains(w.hosts, name) {
		w.hosts = append(w.hosts, name)
		slices.SortFunc(w.hosts, proto.HostName.Compare)
		w.rollout = next
	}
}

// calmDown lets everything that is in the way go out of it, so that the rollout has
// to end.
func (w *world) calmDown() {
	w.fleet.Frozen = ""
	for _, name := range w.hosts {
		h, known := w.fleet.Hosts[name]
		if !known {
			continue
		}
		h.Held = ""
		if w.rollout.Hosts[name].State == rollout.Deferred {
			h.Silent = false // a canary may have to go on
		}
		if !h.Silent {
			h.Reported, h.Verdict, h.Defers = h.Serial, proto.VerdictSucceeded, false
		}
		w.fleet.Hosts[name] = h
	}
	a := rollout.Act{By: "alice", At: w.now}
	w.act(w.rollout.Resume(a))
	w.act(w.rollout.Promote(w.seen(), nil, a))
	switch w.IntN(3) {
	case 0:
		w.retry()
	case 1:
		if w.rollout.State == rollout.Halted {
			w.revert()
		}
	}
}

// seen returns the fleet as a controller sees it now.
func (w *world) seen() rollout.Fleet {
	f := w.fleet
	f.Hosts = maps.Clone(f.Hosts)
	for name, h := range f.Hosts {
		if !h.Silent && !h.Seen.IsZero() {
			h.Seen = w.now
			f.Hosts[name] = h
		}
	}
	return f
}
