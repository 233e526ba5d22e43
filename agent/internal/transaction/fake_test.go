package transaction_test

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/agent/internal/activation"
	"kedge/agent/internal/check"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/health"
	"kedge/agent/internal/transaction"
	"kedge/proto"
)

var errCrash = errors.New("crash")

// A fakeHost is a host and its disk. The n-th call crashes, before or after
// its effect took place.
type fakeHost struct {
	t *testing.T

	// the machine
	boot                                  int
	current, booted, profile, bootDefault proto.StorePath
	whole                                 proto.StorePath // whose units all run
	agent                                 proto.StorePath // whose agent runs

	// the disk
	record      deployment.Deployment
	proven      deployment.Proven
	quarantined []proto.StorePath
	held        proto.StorePath
	saved       []deployment.Deployment // all that the record was, or should have been

	// the boot loader
	oneShot   proto.StorePath // boots next, once
	unable    bool            // it cannot boot anything once
	noSpecial bool            // it has no entries of specialisations
	panics    bool            // the new system's boot ends in the next one
	hangs     bool            // the new system's boot never ends
	frozen    bool            // while the new system runs, nobody answers who is asked to
	refuses   bool            // or they refuse
	resets    int             // how often the host was reset
	stays     int             // how often the host does not go down when it is asked
	guard     string          // what runs early in a boot
	blessed   int             // the boot that the loader was told to be good
	foreigner bool            // somebody chooses another entry at every boot
	boots     int             // how often it was booted
	ups       int             // how often the end of a boot was waited for
	coming    bool            // a boot that something runs early in has not ended yet
	age       time.Duration   // how long this boot is up at first; zero is a day
	ends      time.Duration   // how long it is up when it ends, if age is set

	baseline deployment.Baseline
	passes   map[string]bool // the checks that pass before, by name
	checked  []string        // the names of those that were tried before

	// how the new system behaves
	activates     activation.Result // for the new system
	unitsFail     bool
	contact       map[proto.StorePath]bool // by the system that runs
	loaderRefuses bool                     // the new system, and any other while that is a generation
	generations   []proto.StorePath        // oldest first
	limit         int                      // of how many of the newest the loader has entries; zero is all
	loaderBusy    int                      // how often somebody else is switching when the loader is to be set
	links         error                    // of reading the systems
	noProfile     bool                     // the profile cannot be changed
	noRecord      bool                     // nor can the record be saved
	noQuarantine  bool                     // nor can the quarantines
	noProof       bool                     // nor can what is proven, back to the old system
	noCommit      bool                     // nor to the new one
	blind         int                      // how often nothing can be judged
	agentFails    bool                     // it cannot be restarted
	intruder      func(h *fakeHost)        // runs during the new system's judgement
	later         func(h *fakeHost)        // runs during the proven system's
	waiting       func(h *fakeHost)        // runs in every pause
	recall        string                   // why somebody wants it back
	theirs        bool                     // somebody else registered the new system
	provenFails   bool                     // units of the proven system, once it is back
	// results of the next activations, by system; then they go well again.
	results map[proto.StorePath][]activation.Result
	// mute has those of which nobody knows what became of their activations.
	mute map[proto.StorePath]bool
	// slow has those whose activations do not end by themselves.
	slow map[proto.StorePath]bool
	// dies kills the process in every activation of these.
	dies map[proto.StorePath]bool
	// defaulted runs after the boot default was set, and proved after Prove.
	defaulted func(h *fakeHost, p proto.StorePath) error
	proved    func(h *fakeHost)
	activated []proto.StorePath // in this order
	judged    []proto.StorePath // likewise
	clock     time.Duration     // since the beginning; pauses make it pass
	skew      time.Duration     // by which the clock was set

	calls   int
	crashAt map[int]crash // by call
	dead    bool          // the process has crashed: it has no effect any more
}

// A crash is one end of the process in the middle of a call.
type crash struct {
	power   bool // the power is lost, and not the process alone
	applied bool // the effect of the call took place
}

var (
	oldSystem = mustPath("/nix/store/00000000000000000000000000000000-nixos-system-old")
	newSystem = mustPath("/nix/store/11111111111111111111111111111111-nixos-system-new")
	foreign   = mustPath("/nix/store/22222222222222222222222222222222-nixos-system-foreign")
	foreigner = mustPath("/nix/store/77777777777777777777777777777777-nixos-system-foreigner")
)

func mustPath(s string) proto.StorePath {
	p, err := proto.ParseStorePath(s)
	if err != nil {
		panic(err)
	}
	return p
}

func newFakeHost(t *testing.T) *fakeHost {
	t.Helper()
	proven := deployment.Proven{Toplevel: oldSystem, Generation: 1}
	return &fakeHost{
		t:       t,
		current: oldSystem, booted: oldSystem, profile: oldSystem, bootDefault: oldSystem,
		whole: oldSystem, agent: oldSystem,
		generations: []proto.StorePath{oldSystem},
		proven:      proven,
		activates:   activation.Result{Effect: activation.Active},
		contact:     map[proto.StorePath]bool{oldSystem: true, oldSpecial: true, newSystem: true, newSpecial: true},
		crashAt:     map[int]crash{},
		baseline:    deployment.Baseline{Failed: []string{"old.service"}, Restarting: []string{"flaps.service"}},
		record: deployment.Deployment{
			ID: "7-test", Attempt: 1, Serial: 7, Release: proto.DigestOf([]byte("release")), Toplevel: newSystem, Proven: proven, Phase: proto.PhaseFetched,
			Probation:         deployment.Probation{Grace: time.Second, Deadline: time.Minute},
			RollbackProbation: deployment.Probation{Grace: time.Second, Deadline: 2 * time.Minute},
			ActivationTimeout: time.Minute,
			Agent:             "/nix/store/kedge/bin/kedge-agent",
			Boots:             deployment.Boots{Timeout: 10 * time.Minute},
		},
	}
}

// do runs effect as one call, unless the host crashes.
func (h *fakeHost) do(effect func()) error {
	if h.dead {
		return errCrash
	}
	h.calls++
	if c, crashes := h.crashAt[h.calls]; crashes {
		if c.applied {
			effect()
		}
		h.check()
		if c.power {
			h.start()
		}
		h.dead = true
		return errCrash
	}
	effect()
	h.check()
	return nil
}

// check is the promise that holds at every instant: what boots next has been
// proven, or is somebody else's choice.
func (h *fakeHost) check() {
	decided := h.record.Registered && (h.record.Phase != proto.PhaseProbation || h.noProfile)
	if h.record.Phase == proto.PhaseStaging {
		decided = h.bootDefault != newSystem || h.limit == 1 // then it has no place for both
	}
	if !decided && !h.theirs && (h.profile == newSystem || h.bootDefault == newSystem) {
		h.t.Helper()
		h.t.Fatalf("call %d: phase %s, but the profile names %s and %s would boot", h.calls, h.record.Phase, h.profile, h.bootDefault)
	}
}

func (h *fakeHost) BootID() (string, error) { return string(rune('a' + h.boot)), nil }

// Uptime is longer than any wait of a test unless age says otherwise, and goes on through
// a boot.
func (h *fakeHost) Uptime() (time.Duration, error) {
	if h.age > 0 {
		return h.age + h.clock, nil
	}
	return 24*time.Hour + h.clock, nil
}

func (h *fakeHost) Systems() (proto.Systems, error) {
	return proto.Systems{Current: h.current, Booted: h.booted, Profile: h.profile}, h.links
}

func (h *fakeHost) Baseline(_ context.Context, within time.Duration) (deployment.Baseline, error) {
	if within != h.record.Probation.Grace {
		h.t.Errorf("restarts are noted within %s, want %s", within, h.record.Probation.Grace)
	}
	if h.record.Lost && (!h.isOld(h.current) || !h.isOld(h.booted)) { // what was left is not well
		return deployment.Baseline{Failed: []string{"app.service"}}, nil
	}
	return h.baseline, nil
}

func (h *fakeHost) Activate(ctx context.Context, p proto.StorePath, force bool) (activation.Result, error) {
	if h.isOld(p) && !force {
		h.t.Error("the proven system is activated without force")
	}
	r := activation.Result{Effect: activation.Active}
	if h.tries(p) && !force {
		r = h.activates
	}
	if next := h.results[p]; len(next) > 0 {
		r, h.results[p] = next[0], next[1:]
	}
	h.activated = append(h.activated, p)
	if h.slow[p] {
		<-ctx.Done()
		return activation.Result{Effect: activation.Partial, Message: "it was killed"}, nil
	}
	if h.mute[p] {
		return activation.Result{}, errors.New("current-system cannot be read")
	}
	if h.dies[p] {
		h.dead = true
		return activation.Result{}, errCrash
	}
	if h.coming {
		h.t.Errorf("%s: %s is activated before the boot has ended", h.record.Phase, p)
	}
	if h.record.Phase == proto.PhaseFetched {
		h.t.Errorf("%s is activated before the record says so", p)
	}
	if h.held != h.record.Toplevel {
		h.t.Errorf("%s is activated, but %s is kept from being collected", p, h.held)
	}
	// One that crashes has moved /run/current-system, and started no unit yet.
	err := h.do(func() {
		switch r.Effect {
		case activation.Active, activation.Broken:
			h.current, h.whole = p, proto.StorePath{}
		case activation.Partial:
			h.whole = proto.StorePath{}
		case activation.Untouched, activation.Unstarted, activation.Busy:
		}
	})
	if err == nil && r.Effect == activation.Active {
		h.whole = p
	}
	return r, err
}

func (h *fakeHost) DryActivate(_ context.Context, p proto.StorePath) ([]string, error) {
	if p != h.record.System() {
		h.t.Errorf("%s is asked what it would change", p)
	}
	if h.unitsFail {
		return nil, errors.New("exit code 1")
	}
	return []string{"would restart the following units: app.service"}, nil
}

func (h *fakeHost) Guard(agent string) error { return h.do(func() { h.guard = agent }) }

func (h *fakeHost) Unguard() error { return h.do(func() { h.guard = "" }) }

func (h *fakeHost) Recalled(ctx context.Context, id string) string {
	if id != h.record.ID {
		h.t.Errorf("waits for the recall of %s", id)
	}
	if h.recall == "" {
		<-ctx.Done()
	}
	return h.recall
}

func (h *fakeHost) RestartAgent(context.Context) error {
	if h.agentFails {
		return errors.New("its start failed")
	}
	return h.do(func() { h.agent = h.current })
}

func (h *fakeHost) Hold(p proto.StorePath) error { return h.do(func() { h.held = p }) }

func (h *fakeHost) Judge(_ context.Context, s check.Subject, p deployment.Probation, before deployment.Baseline) (health.Judgement, error) {
	want := h.record.Probation
	if h.record.Phase == proto.PhaseRollingBack {
		want = h.record.RollbackProbation
	}
	if p.Deadline != want.Deadline {
		h.t.Errorf("%s: judged by a deadline of %s, want %s", h.record.Phase, p.Deadline, want.Deadline)
	}
	if s != (check.Subject{Deployment: h.record.ID, Toplevel: h.current}) && h.current != foreign {
		h.t.Errorf("%s: judged as %+v, while %s runs", h.record.Phase, s, h.current)
	}
	h.requireBefore(p.Checks)
	if !reflect.DeepEqual(h.baseline, before) {
		h.t.Errorf("%s: judged by another baseline (-want +got):\n%s", h.record.Phase, cmp.Diff(h.baseline, before))
	}
	if h.blind > 0 && h.isOld(h.current) {
		h.blind--
		return health.Judgement{}, errors.New("systemd did not answer in time")
	}
	h.judged = append(h.judged, h.current)
	if err := h.do(func() {
		h.agent = h.current
		if h.intruder != nil && h.tries(h.current) {
			h.intruder(h)
		}
		if h.later != nil && h.isOld(h.current) {
			h.later(h)
		}
	}); err != nil {
		return health.Judgement{}, err
	}
	j := health.Judgement{Contact: h.contact[h.current], Checks: []proto.CheckResult{{Name: "on " + h.current.String()}}}
	switch {
	case h.tries(h.current) && h.unitsFail:
		j.Reason, j.Failed = proto.ReasonUnitsFailed, []proto.FailedUnit{{Name: "app.service"}}
	case !j.Contact:
		j.Reason = proto.ReasonNoContact
	case h.provenFails && h.isOld(h.current):
		j.Reason, j.Message = proto.ReasonUnitsFailed, "old.service failed"
	default:
		j.Good = true
	}
	return j, nil
}

func (h *fakeHost) Save(d deployment.Deployment) error {
	if h.noRecord {
		return errors.New("read-only file system")
	}
	h.saved = append(h.saved, d)
	return h.do(func() { h.record = d })
}

func (h *fakeHost) Prove(p deployment.Proven) error {
	if p.Toplevel == oldSystem && h.noProof || p.Toplevel == newSystem && h.noCommit {
		return errors.New("read-only file system")
	}
	if err := h.do(func() { h.proven = p }); err != nil || h.proved == nil {
		return err
	}
	h.proved(h)
	return nil
}

func (h *fakeHost) Quarantine(p proto.StorePath, _ proto.Reason, _ time.Time) error {
	if h.noQuarantine {
		return errors.New("quarantine.json is torn")
	}
	return h.do(func() { h.quarantined = append(h.quarantined, p) })
}

// goesOn does what others do with a deployment that waits for its boot: the
// agent, when there is nothing against it, and somebody who boots the host.
func (h *fakeHost) goesOn(d deployment.Deployment) bool {
	switch {
	case d.Phase == proto.PhaseStaged:
		d, err := d.Advance(deployment.Step{Phase: proto.PhaseArmed})
		if err != nil {
			h.t.Fatal(err)
		}
		d.BootID, _ = h.BootID()
		h.record = d
		return true
	case d.Parked && !d.Terminal():
		h.start()
		return true
	}
	return false
}

// runOnce runs the transaction once.
func (h *fakeHost) runOnce() error {
	_, err := transaction.Run(h.t.Context(), h.record, h.options())
	return err
}

func (h *fakeHost) options() transaction.Options {
	return transaction.Options{
		Host: h, Store: h, Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return time.Unix(0, 0).Add(h.clock + h.skew) },
		Wait: func(_ context.Context, d time.Duration) error {
			h.clock += d
			if h.dead {
				return errCrash
			}
			if h.waiting != nil {
				h.waiting(h)
			}
			return nil
		},
	}
}

// settle runs the transaction again and again, as systemd would, until it ends.
func (h *fakeHost) settle() deployment.Deployment {
	h.t.Helper()
	o := h.options()
	for range 20 {
		h.dead = false
		d, err := transaction.Run(h.t.Context(), h.record, o)
		if err == nil && h.goesOn(d) {
			continue
		}
		if err == nil {
			return d
		}
		if !h.dead || !errors.Is(err, errCrash) {
			h.t.Fatalf("transaction: %v", err)
		}
	}
	h.t.Fatal("the transaction does not settle")
	return deployment.Deployment{}
}
