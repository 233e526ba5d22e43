package agent_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"kedge/agent"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/hook"
	"kedge/agent/internal/statefile"
	"kedge/proto"
)

// waiting is a host whose deployment waits for its boot in phase, since a minute.
func waiting(phase proto.Phase, way deployment.Way) agent.Observation {
	o := ended(phase, "", 1)
	o.BootID, o.Record.BootID = "this", "this"
	o.Record.Way, o.Record.Proven, o.Record.Parked = way, o.Proven, phase == proto.PhaseArmed
	o.InhibitMax = time.Hour
	return o
}

// afterTried is a host that runs c, which was only tried, after a deployment from
// there ended in phase.
func afterTried(phase proto.Phase) agent.Observation {
	return with(ended(phase, "", 1), func(o *agent.Observation) {
		o.Systems.Current, o.Record.From = pathC, pathC
	})
}

func TestDecideBoots(t *testing.T) {
	for _, tt := range []struct {
		name   string
		o      agent.Observation
		want   agent.Action
		reason proto.Reason
	}{
		{"what may be booted at any time is", waiting(proto.PhaseStaged, deployment.WayReboot), agent.ActionArm, proto.ReasonDeploying},
		{"what somebody else boots is armed", waiting(proto.PhaseStaged, deployment.WayBoot), agent.ActionArm, proto.ReasonDeploying},
		{"whatever the windows and the lease", with(waiting(proto.PhaseStaged, deployment.WayBoot), func(o *agent.Observation) {
			o.Opens, o.Lease = o.Now.Add(time.Hour), agent.LeaseState{Needed: true}
		}), agent.ActionArm, proto.ReasonDeploying},
		{"a reboot waits for its window", with(waiting(proto.PhaseStaged, deployment.WayReboot), func(o *agent.Observation) {
			o.Opens, o.Lease = o.Now.Add(time.Hour), agent.LeaseState{Needed: true}
		}), agent.ActionRest, proto.ReasonOutsideWindow},
		{"and then asks for its lease", with(waiting(proto.PhaseStaged, deployment.WayReboot), func(o *agent.Observation) {
			o.Opens, o.Lease = o.Now, agent.LeaseState{Needed: true}
		}), agent.ActionLease, proto.ReasonAwaitingLease},
		{"not all the time", with(waiting(proto.PhaseStaged, deployment.WayReboot), func(o *agent.Observation) {
			o.Lease = agent.LeaseState{Needed: true, Again: o.Now.Add(time.Second)}
		}), agent.ActionRest, proto.ReasonAwaitingLease},
		{"and again after a while", with(waiting(proto.PhaseStaged, deployment.WayReboot), func(o *agent.Observation) {
			o.Lease = agent.LeaseState{Needed: true, Again: o.Now}
		}), agent.ActionLease, proto.ReasonAwaitingLease},
		{"until it is granted", with(waiting(proto.PhaseStaged, deployment.WayReboot), func(o *agent.Observation) {
			o.Lease = agent.LeaseState{Needed: true, Granted: true}
		}), agent.ActionArm, proto.ReasonDeploying},
		{"somebody on the host may hold it back", with(waiting(proto.PhaseStaged, deployment.WayReboot), func(o *agent.Observation) {
			o.RebootVetoes = []statefile.Veto{{Who: "backup"}}
		}), agent.ActionRest, proto.ReasonInhibited},
		{"but not for ever", with(waiting(proto.PhaseStaged, deployment.WayReboot), func(o *agent.Observation) {
			o.RebootVetoes, o.InhibitMax = []statefile.Veto{{Who: "backup"}}, time.Second
		}), agent.ActionArm, proto.ReasonDeploying},
		{"nor by what holds back activations only", with(waiting(proto.PhaseStaged, deployment.WayReboot), func(o *agent.Observation) {
			o.Vetoes = []statefile.Veto{{Who: "backup"}}
		}), agent.ActionArm, proto.ReasonDeploying},
		{"nor a boot that is somebody else's", with(waiting(proto.PhaseStaged, deployment.WayBoot), func(o *agent.Observation) {
			o.RebootVetoes = []statefile.Veto{{Who: "backup"}}
		}), agent.ActionArm, proto.ReasonDeploying},
		{"for as long since its window opened", with(waiting(proto.PhaseStaged, deployment.WayReboot), func(o *agent.Observation) {
			o.RebootVetoes, o.InhibitMax, o.Due = []statefile.Veto{{Who: "backup"}}, 10*time.Second, o.Now.Add(-time.Second)
		}), agent.ActionRest, proto.ReasonInhibited},
		{"and no longer", with(waiting(proto.PhaseStaged, deployment.WayReboot), func(o *agent.Observation) {
			o.RebootVetoes, o.InhibitMax, o.Due = []statefile.Veto{{Who: "backup"}}, 10*time.Second, o.Now.Add(-11*time.Second)
		}), agent.ActionArm, proto.ReasonDeploying},
		{"or suspend it", with(waiting(proto.PhaseStaged, deployment.WayReboot), func(o *agent.Observation) {
			o.Suspended = &statefile.Suspension{}
		}), agent.ActionRest, proto.ReasonSuspended},
		{"nor is a lease asked for then", with(waiting(proto.PhaseStaged, deployment.WayReboot), func(o *agent.Observation) {
			o.Suspended, o.Lease = &statefile.Suspension{}, agent.LeaseState{Needed: true}
		}), agent.ActionRest, proto.ReasonSuspended},
		{"a newer assignment overtakes what is staged", with(waiting(proto.PhaseStaged, deployment.WayReboot), func(o *agent.Observation) {
			o.Order.Assignment.Serial = 8
		}), agent.ActionSupersede, proto.ReasonNewerAssignment},
		{"what is staged waits for a verified desired state", with(waiting(proto.PhaseStaged, deployment.WayReboot), func(o *agent.Observation) {
			o.Order = nil
		}), agent.ActionRest, proto.ReasonNoDesired},
		{"what was withdrawn meanwhile is given up", with(waiting(proto.PhaseStaged, deployment.WayReboot), func(o *agent.Observation) {
			o.Order, o.Withdrawn = nil, true
		}), agent.ActionWithdraw, proto.ReasonWithdrawn},
		{"somebody else's system overtakes it, too", with(waiting(proto.PhaseStaged, deployment.WayReboot), func(o *agent.Observation) {
			o.Systems.Current, o.Systems.Profile = pathC, pathC
		}), agent.ActionSupersede, proto.ReasonThirdParty},
		{"but not what was tried before it", with(waiting(proto.PhaseStaged, deployment.WayReboot), func(o *agent.Observation) {
			o.Systems.Current, o.Record.From = pathC, pathC
		}), agent.ActionArm, proto.ReasonDeploying},
		{"nor the specialisation that it goes back to", with(waiting(proto.PhaseStaged, deployment.WayReboot), func(o *agent.Observation) {
			o.Systems.Current, o.Record.Back, o.Record.From = docked.System, docked, pathC
		}), agent.ActionArm, proto.ReasonDeploying},
		{"a boot of its own accord leaves it staged", with(waiting(proto.PhaseStaged, deployment.WayReboot), func(o *agent.Observation) {
			o.BootID = "later"
		}), agent.ActionArm, proto.ReasonDeploying},

		{"what is armed and parked waits", waiting(proto.PhaseArmed, deployment.WayBoot), agent.ActionRest, proto.ReasonAwaitingBoot},
		{"until the host was booted", with(waiting(proto.PhaseArmed, deployment.WayBoot), func(o *agent.Observation) {
			o.BootID = "later"
		}), agent.ActionSettle, proto.ReasonDeploying},
		{"whatever somebody on the host says then", with(waiting(proto.PhaseArmed, deployment.WayBoot), func(o *agent.Observation) {
			o.BootID, o.Suspended, o.Vetoes = "later", &statefile.Suspension{}, []statefile.Veto{{Who: "backup"}}
		}), agent.ActionSettle, proto.ReasonDeploying},
		{"a newer assignment takes it back", with(waiting(proto.PhaseArmed, deployment.WayBoot), func(o *agent.Observation) {
			o.Order.Assignment.Serial = 8
		}), agent.ActionAbandon, proto.ReasonNewerAssignment},
		{"and so does somebody else's system", with(waiting(proto.PhaseArmed, deployment.WayBoot), func(o *agent.Observation) {
			o.Systems.Current, o.Systems.Profile = pathC, pathC
		}), agent.ActionAbandon, proto.ReasonThirdParty},
		{"but not its own, where it is not protected", with(waiting(proto.PhaseArmed, deployment.WayBoot), func(o *agent.Observation) {
			o.Systems.Profile, o.Record.Registered = pathB, true
		}), agent.ActionRest, proto.ReasonAwaitingBoot},
		{"and so does a refusal", with(waiting(proto.PhaseArmed, deployment.WayBoot), func(o *agent.Observation) {
			o.Order, o.Refusal = nil, &proto.RefusalError{Reason: proto.ReasonWithdrawn, Err: errors.New("withdrawn")}
		}), agent.ActionAbandon, proto.ReasonWithdrawn},
		{"but not that nobody can be asked", with(waiting(proto.PhaseArmed, deployment.WayBoot), func(o *agent.Observation) {
			o.Order = nil
		}), agent.ActionRest, proto.ReasonAwaitingBoot},
		{"what was taken back begins nothing while somebody on the host suspends it", with(waiting(proto.PhaseArmed, deployment.WayBoot), func(o *agent.Observation) {
			o.Record.Phase, o.Order.Assignment.Serial, o.Suspended = proto.PhaseSuperseded, 8, &statefile.Suspension{}
		}), agent.ActionRest, proto.ReasonSuspended},
		{"nor does what did not come up while the store is read", with(waiting(proto.PhaseArmed, deployment.WayBoot), func(o *agent.Observation) {
			o.Record.Phase, o.Record.Reason, o.Verifying = proto.PhaseInconclusive, proto.ReasonTrialBootFailed, true
		}), agent.ActionRest, proto.ReasonVerifying},
		{"what was armed and somebody has switched to is adopted", with(waiting(proto.PhaseArmed, deployment.WayBoot), func(o *agent.Observation) {
			o.Record.Phase, o.Record.Reason, o.Systems.Current, o.Systems.Profile = proto.PhaseSuperseded, proto.ReasonThirdParty, pathB, pathB
		}), agent.ActionAdopt, proto.ReasonAdopted},
		{"what goes down is in its transaction's hands", with(waiting(proto.PhaseArmed, deployment.WayReboot), func(o *agent.Observation) {
			o.Record.Parked = false
			o.Suspended = &statefile.Suspension{}
		}), agent.ActionSettle, proto.ReasonDeploying},

		{"what somebody on the host wants reboots at once, whatever is assigned and said", with(waiting(proto.PhaseStaged, deployment.WayReboot), func(o *agent.Observation) {
			o.Record.Origin, o.Record.Serial, o.Confirmed = deployment.OriginHand, 0, true
			o.Opens, o.Lease, o.Suspended, o.Verifying = o.Now.Add(time.Hour), agent.LeaseState{Needed: true}, &statefile.Suspension{}, true
			o.RebootVetoes = []statefile.Veto{{Who: "backup"}}
		}), agent.ActionArm, proto.ReasonDeploying},
		{"and without anything being assigned", with(waiting(proto.PhaseStaged, deployment.WayBoot), func(o *agent.Observation) {
			o.Record.Origin, o.Record.Serial, o.Order, o.Refusal = deployment.OriginHand, 0, nil, &proto.RefusalError{Reason: proto.ReasonExpired, Err: errors.New("expired")}
		}), agent.ActionArm, proto.ReasonDeploying},
		{"but not over somebody else's system", with(waiting(proto.PhaseStaged, deployment.WayReboot), func(o *agent.Observation) {
			o.Record.Origin, o.Record.Serial = deployment.OriginHand, 0
			o.Systems.Current, o.Systems.Profile = pathC, pathC
		}), agent.ActionSupersede, proto.ReasonThirdParty},
		{"what somebody on the host wants at the next boot waits for it", with(waiting(proto.PhaseArmed, deployment.WayBoot), func(o *agent.Observation) {
			o.Record.Origin, o.Record.Serial = deployment.OriginHand, 0
		}), agent.ActionRest, proto.ReasonAwaitingBoot},
		{"whatever is refused meanwhile", with(waiting(proto.PhaseArmed, deployment.WayBoot), func(o *agent.Observation) {
			o.Record.Origin, o.Record.Serial = deployment.OriginHand, 0
			o.Order, o.Refusal = nil, &proto.RefusalError{Reason: proto.ReasonExpired, Err: errors.New("expired")}
		}), agent.ActionRest, proto.ReasonAwaitingBoot},

		{"what is held waits for a person", with(ended(proto.PhaseFetched, "", 1), func(o *agent.Observation) {
			o.Record.Way = deployment.WayHold
		}), agent.ActionRest, proto.ReasonHeld},
		{"and goes on when one confirms it", with(ended(proto.PhaseFetched, "", 1), func(o *agent.Observation) {
			o.Record.Way, o.Confirmed = deployment.WayHold, true
		}), agent.ActionSettle, proto.ReasonDeploying},
		{"or after a while, where that is configured", with(ended(proto.PhaseFetched, "", 1), func(o *agent.Observation) {
			o.Record.Way, o.ConfirmAfter = deployment.WayHold, 15*time.Minute
			o.Record.Since = o.Now.Add(-15 * time.Minute)
		}), agent.ActionSettle, proto.ReasonDeploying},
		{"and not before", with(ended(proto.PhaseFetched, "", 1), func(o *agent.Observation) {
			o.Record.Way, o.ConfirmAfter = deployment.WayHold, 15*time.Minute
			o.Record.Since = o.Now.Add(-15*time.Minute + time.Second)
		}), agent.ActionRest, proto.ReasonHeld},
		{"nor while somebody on the host vetoes", with(ended(proto.PhaseFetched, "", 1), func(o *agent.Observation) {
			o.Record.Way, o.ConfirmAfter, o.InhibitMax = deployment.WayHold, 15*time.Minute, time.Hour
			o.Record.Since, o.Vetoes = o.Now.Add(-15*time.Minute), []statefile.Veto{{Who: "backup"}}
		}), agent.ActionRest, proto.ReasonInhibited},
		{"which counts from then on", with(ended(proto.PhaseFetched, "", 1), func(o *agent.Observation) {
			o.Record.Way, o.ConfirmAfter, o.InhibitMax = deployment.WayHold, 5*time.Hour, time.Hour
			o.Record.Since, o.Vetoes = o.Now.Add(-6*time.Hour+time.Second), []statefile.Veto{{Who: "backup"}}
		}), agent.ActionRest, proto.ReasonInhibited},
		{"and not for longer than vetoes do", with(ended(proto.PhaseFetched, "", 1), func(o *agent.Observation) {
			o.Record.Way, o.ConfirmAfter, o.InhibitMax = deployment.WayHold, 5*time.Hour, time.Hour
			o.Record.Since, o.Vetoes = o.Now.Add(-6*time.Hour), []statefile.Veto{{Who: "backup"}}
		}), agent.ActionSettle, proto.ReasonDeploying},
		{"a person may confirm a reboot outside of its window", with(waiting(proto.PhaseStaged, deployment.WayReboot), func(o *agent.Observation) {
			o.Opens, o.Confirmed, o.RebootVetoes = o.Now.Add(time.Hour), true, []statefile.Veto{{Who: "backup"}}
			o.RebootConfirmed = true
		}), agent.ActionArm, proto.ReasonDeploying},
		{"but has not by what was said before it was staged", with(waiting(proto.PhaseStaged, deployment.WayReboot), func(o *agent.Observation) {
			o.Opens, o.Confirmed = o.Now.Add(time.Hour), true
		}), agent.ActionRest, proto.ReasonOutsideWindow},
		{"but not the turn of the others", with(waiting(proto.PhaseStaged, deployment.WayReboot), func(o *agent.Observation) {
			o.Lease, o.Confirmed = agent.LeaseState{Needed: true}, true
		}), agent.ActionLease, proto.ReasonAwaitingLease},
		{"what was tried is rested on", with(ended(proto.PhaseTried, "", 1), func(o *agent.Observation) {
			o.Systems.Current = pathB
		}), agent.ActionRest, proto.ReasonTried},
		{"in its specialisation, too", with(ended(proto.PhaseTried, "", 1), func(o *agent.Observation) {
			o.Record.Specialisation, o.Systems.Current = docked, docked.System
		}), agent.ActionRest, proto.ReasonTried},
		{"also when the host was booted", ended(proto.PhaseTried, "", 1), agent.ActionRest, proto.ReasonTried},
		{"until something else is assigned", with(ended(proto.PhaseTried, "", 1), func(o *agent.Observation) {
			o.Systems.Current, o.Order.Assignment.Serial = pathB, 8
		}), agent.ActionDeploy, proto.ReasonDeploying},
		{"what is proven is brought back when that is assigned", with(ended(proto.PhaseTried, "", 1), func(o *agent.Observation) {
			o.Systems.Current, o.Order.Assignment.Serial, o.Order.Release.Toplevel = pathB, 8, pathA
		}), agent.ActionRestore, proto.ReasonDriftRestored},
		{"but not by what only asks, or is for the next boot", with(ended(proto.PhaseTried, "", 1), func(o *agent.Observation) {
			o.Systems.Current, o.Order.Assignment.Serial, o.Order.Release.Toplevel = pathB, 8, pathA
			o.Order.Assignment.Mode = proto.ModeBoot
		}), agent.ActionRest, proto.ReasonConverged},
		{"what comes after it and cannot be had is tried again", with(afterTried(proto.PhaseFailed), func(o *agent.Observation) {
			o.Record.Reason = proto.ReasonCacheUnreachable
		}), agent.ActionDeploy, proto.ReasonDeploying},
		{"and may be overtaken", with(afterTried(proto.PhaseSuperseded), func(o *agent.Observation) {
			o.Order.Assignment.Serial = 8
		}), agent.ActionDeploy, proto.ReasonDeploying},
		{"what comes after it may be only asked", afterTried(proto.PhaseTried), agent.ActionRest, proto.ReasonTried},
		{"what runs after a way back that failed was tried by nobody", with(afterTried(proto.PhaseRollbackFailed), func(o *agent.Observation) {
			o.BootID, o.Record.BootID = "this", "this"
		}), agent.ActionRest, proto.ReasonRollbackFailed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := agent.Decide(tt.o)
			if got.Action != tt.want || got.Reason != tt.reason {
				t.Errorf("Decide = %s because of %q: %s; want %s because of %q", got.Action, got.Reason, got.Message, tt.want, tt.reason)
			}
			waits := got.Reason == proto.ReasonOutsideWindow || got.Reason == proto.ReasonHeld && tt.o.ConfirmAfter > 0 || got.Action == agent.ActionRest && got.Reason == proto.ReasonAwaitingLease
			if waits != (got.Reason != proto.ReasonInhibited && got.Again.After(tt.o.Now)) {
				t.Errorf("Decide again at %s; it is %s, and waits for a time: %v", got.Again, tt.o.Now, waits)
			}
		})
	}
}

// TestARebootIsVerifiedOnceMore: what is not believed any more when the lease is
// there at last, because of the clock, is not booted.
func TestARebootIsVerifiedOnceMore(t *testing.T) {
	w := newWorld(t)
	w.configure = func(c *agent.Config) { c.Policy.Normal, c.Reboot.Lease = deployment.WayReboot, true }
	w.leases = func(bool, string) (proto.LeaseReply, error) {
		floor, err := w.files.Floor()
		floor.Latest = time.Now().AddDate(1, 0, 0)
		return proto.LeaseReply{Granted: true}, errors.Join(err, w.files.SaveFloor(floor))
	}
	w.start()
	w.assign(7, pathB)
	w.stage(w.awaitTransaction())
	s := w.awaitStatus("an end", func(s proto.Status) bool { return s.Deployment.Phase.Terminal() })
	if s.Deployment.Phase != proto.PhaseFailed || s.Deployment.Reason != proto.ReasonClock {
		t.Errorf("ended %s because of %s, want %s because of %s", s.Deployment.Phase, s.Deployment.Reason, proto.PhaseFailed, proto.ReasonClock)
	}
}

// TestARebootIsAskedForInItsOrder follows a staged deployment to its reboot, and
// after it.
func TestARebootIsAskedForInItsOrder(t *testing.T) {
	w := newWorld(t)
	w.hooks = everyHook()
	w.hooks.PreReboot = w.hooks.PreActivate
	w.configure = func(c *agent.Config) { c.Policy.Normal, c.Reboot.Lease = deployment.WayReboot, true }
	var asked, given []string
	granted := false
	w.leases = func(acquire bool, id string) (proto.LeaseReply, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		close(w.changed)
		w.changed = make(chan struct{})
		if !acquire {
			given = append(given, id)
			return proto.LeaseReply{}, nil
		}
		asked = append(asked, id)
		return proto.LeaseReply{Granted: granted, Message: "db1 has it"}, nil
	}
	stop := w.start()
	w.assign(7, pathB)
	d := w.awaitTransaction()
	w.stage(d)
	s := w.awaitStatus("the lease to be refused", func(s proto.Status) bool {
		return condition(s, proto.ConditionReady).Reason == proto.ReasonAwaitingLease && condition(s, proto.ConditionReady).Message != ""
	})
	if got := condition(s, proto.ConditionReady).Message; got != "db1 has it" {
		t.Errorf("waits because of %q", got)
	}
	stop()
	w.change(func() { granted = true })
	w.start()
	w.await("the transaction to reboot", func() bool {
		return slices.ContainsFunc(w.ensured, func(d deployment.Deployment) bool { return d.Phase == proto.PhaseArmed })
	})
	w.mu.Lock()
	i := slices.IndexFunc(w.ensured, func(d deployment.Deployment) bool { return d.Phase == proto.PhaseArmed })
	armed, points := w.ensured[i], w.ran()
	w.mu.Unlock()
	if armed.BootID != "boot" || !armed.Drained || !armed.Leased || armed.ID != d.ID {
		t.Errorf("armed is %+v", armed)
	}
	if want := []hook.Point{hook.PreFetch, hook.PreActivate, hook.PreReboot}; !slices.Equal(points, want) {
		t.Errorf("hooks ran at %q, want %q", points, want)
	}
	for _, p := range []proto.Phase{proto.PhaseProbation, proto.PhaseCommitting, proto.PhaseCommitted} {
		var err error
		if armed, err = armed.Advance(deployment.Step{Phase: p, Time: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	w.change(func() { w.systems.Current, w.systems.Profile = pathB, pathB })
	if err := errors.Join(w.files.SaveProven(deployment.Proven{Toplevel: pathB}), w.files.Save(armed)); err != nil {
		t.Fatal(err)
	}
	w.await("the lease to be given back", func() bool { return slices.Contains(given, d.ID) })
	w.change(func() { w.reads = 0 })
	w.ring()
	w.await("another look", func() bool { return w.reads > 0 })
	w.ring()
	w.await("and what follows from it", func() bool { return w.reads > 1 })
	if len(given) != 1 {
		t.Errorf("it was given back %d times", len(given))
	}
}

// stage does what a transaction would, up to where it waits for its boot.
func (w *world) stage(d deployment.Deployment) { w.stageAt(d, time.Now()) }

func (w *world) stageAt(d deployment.Deployment, at time.Time) {
	w.t.Helper()
	for _, p := range []proto.Phase{proto.PhaseStaging, proto.PhaseStaged} {
		var err error
		if d, err = d.Advance(deployment.Step{Phase: p, Time: at}); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := w.files.Save(d); err != nil {
		w.t.Fatal(err)
	}
}
