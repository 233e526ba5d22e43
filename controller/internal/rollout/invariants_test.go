package rollout_test

import (
	"reflect"
	"slices"
	"time"

	"kedge/controller/internal/rollout"
	"kedge/internal/spec"
	"kedge/proto"
)

// run does what the rollout asks for until there is nothing left, unless it crashes
// in between: then it goes on from what was saved.
func (w *world) run() {
	w.checkExplained()
	saved := w.rollout
	for {
		f := w.seen()
		actions := rollout.Next(w.rollout, f, w.now)
		if len(actions) == 0 {
			w.checkDoubts()
			w.checkDue(f)
			break
		}
		if again := rollout.Next(w.rollout, f, w.now); !reflect.DeepEqual(actions, again) {
			w.t.Errorf("asked twice, Next answers %v, then %v", actions, again)
		}
		w.check(actions)
		if actions[0].Kind == rollout.Publish {
			saved = w.rollout
		}
		crash := w.IntN(8) == 0
		for _, a := range actions {
			done := rollout.Result{Action: a}
			if a.Kind == rollout.Publish && w.IntN(40) == 0 { // it was withdrawn
				w.rollout = w.rollout.Refuse(a.Host, "withdrawn")
				w.wasHeld[a.Host] = true
				continue
			}
			if a.Kind == rollout.Publish {
				done.Serial = w.publish(a)
			}
			if crash && w.IntN(3) == 0 {
				w.load(saved)
				return
			}
			w.apply(done)
		}
		if crash {
			break // everything was done, and is saved
		}
	}
	if w.IntN(10) == 0 { // the controller is restarted
		w.load(w.rollout)
	}
}

// checkDue fails if there is something to do, while nothing happens, before it is due.
func (w *world) checkDue(f rollout.Fleet) {
	at := w.now.Add(time.Duration(w.Int64N(int64(48 * time.Hour))))
	if due := rollout.Due(w.rollout, f, w.now); !due.IsZero() && !at.Before(due) {
		at = due.Add(-1)
	}
	if early := rollout.Next(w.rollout, f, at); len(early) > 0 {
		w.t.Errorf("seed %d: %v is to be done at %s, before it is due", w.seed, early, at)
	}
}

func (w *world) encoded() []byte {
	b, err := w.rollout.Encode()
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// load takes what was saved up again.
func (w *world) load(saved rollout.Rollout) {
	w.rollout = saved
	r, err := rollout.Parse(w.encoded())
	if err != nil {
		w.t.Fatalf("seed %d: what was saved is refused: %v", w.seed, err)
	}
	w.rollout = r
}

func (w *world) publish(a rollout.Action) proto.Serial {
	w.serial++
	h, known := w.fleet.Hosts[a.Host]
	h.Silent = h.Silent || !known
	if a.Offline != h.Silent {
		w.t.Errorf("%s is published to as offline: %t, which is wrong", a.Host, a.Offline)
	}
	h.Toplevel, h.Serial = a.Toplevel, w.serial
	w.fleet.Hosts[a.Host] = h
	w.sent[a.Host]++
	if w.sent[a.Host] > 1 {
		w.t.Errorf("%s was published to %d times", a.Host, w.sent[a.Host])
	}
	return w.serial
}

func (w *world) apply(done rollout.Result) {
	var before []byte
	look := w.IntN(10) == 0 // it is costly
	if look {
		before = w.encoded()
	}
	next, err := w.rollout.Apply([]rollout.Result{done}, w.now)
	if err != nil {
		w.t.Fatalf("seed %d: an action that Next asked for is refused: %v", w.seed, err)
	}
	if look && !slices.Equal(before, w.encoded()) {
		w.t.Errorf("%s changed the rollout that it was applied to", done.Action.Kind)
	}
	if done.Action.Kind == rollout.Revert {
		clear(w.sent)
	}
	w.rollout = next
}

// check checks what Next answered.
func (w *world) check(actions []rollout.Action) {
	r := w.rollout
	if r.State == rollout.Paused || r.State == rollout.Halted {
		for _, a := range actions {
			if !slices.Contains([]rollout.Kind{rollout.Settle, rollout.Doubt, rollout.Defer, rollout.Silence, rollout.Keep, rollout.Renew}, a.Kind) {
				w.t.Errorf("%s although it is %s", a.Kind, r.State)
			}
		}
		return
	}
	switch a := actions[0]; a.Kind {
	case rollout.StartWave:
		w.checkStart(a)
	case rollout.Publish:
		w.checkPublish(actions)
	case rollout.Redraw:
		wave := r.Waves[a.Wave]
		for _, h := range wave.Canary {
			if p := r.Hosts[h]; p.State == rollout.Settled && p.Verdict == proto.VerdictSucceeded {
				w.t.Errorf("others are drawn although %s succeeded", h)
			}
		}
		for _, h := range a.Canary {
			if p := r.Hosts[h]; p.State != rollout.Waiting || w.fleet.Hosts[h].Silent || w.held(h) {
				w.t.Errorf("%s is drawn, and shows nothing", h)
			}
		}
	case rollout.Widen:
		wave := r.Waves[a.Wave]
		w.checkSoaked(wave.Canary, wave.CanarySoak)
		w.checkShown(wave.Canary)
	case rollout.EndWave:
		wave := r.Waves[a.Wave]
		w.checkSoaked(wave.Hosts, wave.Soak)
	case rollout.Halt, rollout.Revert:
		if !w.broken() {
			w.t.Errorf("%s (%s) although no budget is broken", a.Kind, a.Why)
		}
	case rollout.Silence:
		w.checkSilent(actions)
	case rollout.Keep, rollout.Renew, rollout.Settle, rollout.Doubt, rollout.Defer, rollout.Finish:
	}
}

// checkDoubts checks that nobody is doubted who came to what is known of it.
func (w *world) checkDoubts() {
	for name, p := range w.rollout.Hosts {
		h := w.fleet.Hosts[name]
		known := p.State == rollout.Settled && h.Serial == p.Serial && h.Reported == p.Serial && h.Verdict == p.Verdict
		if known && !p.Doubted.IsZero() && !w.rollout.State.Ended() {
			w.t.Errorf("%s is doubted since %s, and came to %s", name, p.Doubted, p.Verdict)
		}
	}
}

// checkSilent checks that nobody is charged for waiting for something of its own.
func (w *world) checkSilent(actions []rollout.Action) {
	for _, a := range actions {
		if h := w.fleet.Hosts[a.Host]; a.Kind == rollout.Silence && h.Defers && h.Reported == w.rollout.Hosts[a.Host].Serial {
			w.t.Errorf("%s waits for something of its own, and is charged as silent", a.Host)
		}
	}
}

// checkStart checks that no wave starts before its turn, and none that must not.
func (w *world) checkStart(a rollout.Action) {
	r, news := w.rollout, false
	for i, wave := range r.Waves {
		if i < a.Wave && wave.Ended.IsZero() || i >= a.Wave && !wave.Started.IsZero() {
			w.t.Errorf("wave %d starts while wave %d is under way, or was", a.Wave, i)
		}
	}
	for _, h := range a.Hosts {
		news = news || w.fleet.Hosts[h].Toplevel != r.Hosts[h].Toplevel && !w.held(h)
	}
	if wave := r.Waves[a.Wave]; news && r.State == rollout.Running {
		if !wave.Windows.Open(w.now) {
			w.t.Errorf("wave %s starts outside of its windows", wave.Name)
		}
		if wave.Approval && wave.Approved.At.IsZero() || r.Approval && r.Approved.At.IsZero() {
			w.t.Errorf("wave %s starts without approval", wave.Name)
		}
	}
}

// checkPublish checks that only those are published to who may be.
func (w *world) checkPublish(actions []rollout.Action) {
	r := w.rollout
	wave := r.Waves[r.Wave]
	atWork := 0
	for name, p := range r.Hosts {
		if p.State == rollout.Published && !w.held(name) {
			atWork++
		}
	}
	for _, a := range actions {
		if a.Kind != rollout.Publish {
			w.t.Errorf("%s among publications", a.Kind)
		}
		if !slices.Contains(wave.Hosts, a.Host) {
			w.t.Errorf("%s goes in a wave that is not its own", a.Host)
		}
		if len(wave.Canary) > 0 && wave.Widened.IsZero() && !slices.Contains(wave.Canary, a.Host) {
			w.t.Errorf("%s goes before the canary is through", a.Host)
		}
		if w.held(a.Host) {
			w.t.Errorf("%s is held, and goes", a.Host)
		}
		if a.Host == w.own {
			w.checkAlone()
		}
		if !a.Offline {
			atWork++
		}
		if limit := wave.MaxInFlight; !a.Offline && !limit.IsZero() && atWork > max(1, limit.Of(len(wave.Hosts))) {
			w.t.Errorf("%d hosts are at work, %s may be", atWork, limit)
		}
	}
	if r.State == rollout.Reverting {
		return
	}
	if w.broken() {
		w.t.Errorf("somebody goes although a budget is broken")
	}
	w.checkHeard()
	if w.fleet.Frozen != "" || w.spec.Rollout.Freeze != "" {
		w.t.Errorf("somebody goes in a freeze")
	}
	if !wave.Windows.Open(w.now) && wave.Windows.Overrun == spec.Pause {
		w.t.Errorf("somebody goes outside of the windows")
	}
}

// checkHeard checks that enough hosts can be heard of those that could be since the
// rollout began. It began when the world did, and whoever was heard of was then, or since.
func (w *world) checkHeard() {
	heard, silent := 0, 0
	for name := range w.rollout.Hosts {
		h := w.fleet.Hosts[name]
		if h.Silent && w.now.Sub(h.Seen) > 24*time.Hour || h.Seen.IsZero() || w.held(name) {
			continue
		}
		heard++
		if h.Silent {
			silent++
		}
	}
	if limit := w.spec.Rollout.MaxSilent; !limit.IsZero() && silent > max(4, limit.Of(heard)) {
		w.t.Errorf("somebody goes although %d of %d hosts are silent, %s may be", silent, heard, limit)
	}
}

// checkAlone checks that the controller's own host goes when nobody else may.
func (w *world) checkAlone() {
	r := w.rollout
	if r.Wave != len(r.Waves)-1 || len(r.Waves[r.Wave].Hosts) != 1 {
		w.t.Errorf("the controller's own host goes in wave %d of %d, with %v", r.Wave, len(r.Waves), r.Waves[r.Wave].Hosts)
	}
	for h, p := range r.Hosts {
		if h != w.own && p.State == rollout.Published && !w.held(h) && r.State == rollout.Running {
			w.t.Errorf("the controller's own host goes while %s is at work", h)
		}
	}
}

func (w *world) checkSoaked(hosts []proto.HostName, soak time.Duration) {
	for _, h := range hosts {
		p := w.rollout.Hosts[h]
		if !w.held(h) && (p.State == rollout.Waiting || p.State == rollout.Published) {
			w.t.Errorf("nobody waits for %s, which is %s", h, p.State)
		}
		if p.State != rollout.Waiting && p.Before.Toplevel != p.Toplevel && w.now.Before(p.Since.Add(soak)) {
			w.t.Errorf("%s has not soaked", h)
		}
	}
}

// checkShown checks that a canary of which somebody can show something yet has.
func (w *world) checkShown(canary []proto.HostName) {
	var defers []proto.HostName
	for _, h := range canary {
		p := w.rollout.Hosts[h]
		if p.State == rollout.Settled && (p.Verdict == proto.VerdictSucceeded || p.Verdict == proto.VerdictTried) {
			return
		}
		if p.State == rollout.Deferred && !w.held(h) {
			defers = append(defers, h)
		}
	}
	if len(defers) > 0 {
		w.t.Errorf("the others follow a canary that showed nothing, and of which %v wait", defers)
	}
}

func (w *world) held(h proto.HostName) bool {
	p := w.rollout.Hosts[h]
	return w.fleet.Hosts[h].Held != "" || p.Hold != "" || p.Refused != ""
}

// broken reports whether the hosts of any wave, or of its canary, said so much bad
// of what they were assigned that nobody else may go. It asks the hosts.
func (w *world) broken() bool {
	for _, wave := range w.rollout.Waves {
		if wave.Started.IsZero() {
			continue
		}
		canary := wave.Budget
		if canary.Success.CeilOf(1) == 0 {
			canary.Success = spec.Count(1)
		}
		if w.breaks(wave.Hosts, wave.Budget) || w.breaks(wave.Canary, canary) {
			return true
		}
	}
	return false
}

func (w *world) breaks(hosts []proto.HostName, b spec.Budget) bool {
	failed, silent, can := 0, 0, 0
	for _, name := range hosts {
		p, h := w.rollout.Hosts[name], w.fleet.Hosts[name]
		same := h.Serial == p.Serial || h.Serial > p.Serial && h.Toplevel == p.Toplevel // signed anew
		current := same && h.Reported == p.Serial && p.State != rollout.Waiting
		undecided := !current || h.Verdict == proto.VerdictPending || h.Verdict == proto.VerdictNone ||
			h.Verdict == proto.VerdictInconclusive || h.Verdict == proto.VerdictFailed && h.Retries
		switch {
		case p.State == rollout.Waiting:
			if !w.held(name) {
				can++
			}
		case !same:
		case p.State == rollout.Settled && undecided: // as it was before
			if p.Verdict != proto.VerdictSuperseded {
				can++
				if p.Verdict.Bad() {
					failed++
				}
			}
		case p.State == rollout.Silent && undecided:
			can, silent = can+1, silent+1
		case p.State == rollout.Published && undecided:
			can++
		case undecided || h.Verdict == proto.VerdictSuperseded:
		case h.Verdict == proto.VerdictSucceeded || h.Verdict == proto.VerdictTried:
			can++
		default:
			can, failed = can+1, failed+1
		}
	}
	return !b.Failed.IsZero() && failed > b.Failed.Of(len(hosts)) ||
		!b.Silent.IsZero() && silent > b.Silent.Of(len(hosts)) ||
		can-failed-silent < min(can, b.Success.CeilOf(can))
}

// checkExplained checks that those whom the plan says to go now are those who do.
func (w *world) checkExplained() {
	f := w.seen()
	now := map[proto.HostName]bool{}
	for _, h := range rollout.Explain(w.rollout, f, w.now) {
		if h.Now {
			now[h.Host] = true
		}
		if waits := h.Wait != rollout.WaitNone; waits != (h.Progress.State == rollout.Waiting && !h.Now) {
			w.t.Errorf("%s is %s, goes now: %t, and waits for %q", h.Host, h.Progress.State, h.Now, h.Wait)
		}
		if h.At.Before(w.now) && !h.At.IsZero() {
			w.t.Errorf("%s waits until %s, which is over", h.Host, h.At)
		}
	}
	r := w.rollout
	for {
		actions := rollout.Next(r, f, w.now)
		if len(actions) == 0 || actions[0].Kind == rollout.Publish {
			if len(actions) != len(now) {
				w.t.Errorf("%d hosts go now, %d are said to", len(actions), len(now))
			}
			for _, a := range actions {
				if !now[a.Host] {
					w.t.Errorf("%s goes, and is not said to", a.Host)
				}
			}
			return
		}
		var done []rollout.Result
		for _, a := range actions {
			done = append(done, rollout.Result{Action: a})
		}
		var err error
		if r, err = r.Apply(done, w.now); err != nil {
			w.t.Fatal(err)
		}
	}
}

// checkEnd checks what the rollout leaves behind.
func (w *world) checkEnd() {
	r := w.rollout
	if actions := rollout.Next(r, w.seen(), w.now.Add(time.Hour)); len(actions) > 0 {
		w.t.Errorf("it is %s, and asks for %v", r.State, actions)
	}
	for name, p := range r.Hosts {
		is := w.fleet.Hosts[name].Toplevel
		switch {
		case w.wasHeld[name] || w.held(name) || w.hotfix[name]:
		case r.State == rollout.Done && (p.State == rollout.Waiting || is != p.Toplevel):
			w.t.Errorf("it is done, and %s is %s, with %s", name, p.State, is)
		case r.State == rollout.Reverted && !w.had[name].IsZero() && w.had[name] != is:
			w.t.Errorf("it is reverted, and %s has %s, was %s", name, is, w.had[name])
		}
	}
}
