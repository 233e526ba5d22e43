package agent_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"kedge/agent"
	"kedge/agent/internal/control"
	"kedge/agent/internal/deployment"
	"kedge/proto"
)

var pathD = mustPath("/nix/store/33333333333333333333333333333333-nixos-system-d")

// leftIn is a host that was booted since its way back from b to a failed, after current
// and profile were left there.
func leftIn(current, profile proto.StorePath) agent.Observation {
	return with(lost(), func(o *agent.Observation) {
		o.Systems = proto.Systems{Current: current, Booted: current, Profile: profile}
		o.BootID = "later"
	})
}

// couldNotBegin is leftIn after going back once more could not begin, a second ago.
func couldNotBegin(attempt int) agent.Observation {
	return with(leftIn(pathB, pathB), func(o *agent.Observation) {
		o.Record = deployment.Deployment{
			ID: "drift-x", Origin: deployment.OriginDrift, Restore: true, Lost: true, LostTo: []proto.StorePath{pathB}, Toplevel: pathB, Proven: o.Proven,
			Phase: proto.PhaseFailed, Reason: proto.ReasonFetchFailed, Attempt: attempt, Since: o.Now.Add(-time.Second),
		}
	})
}

// policyOf has o's host keep a drift policy.
func policyOf(p agent.DriftPolicy) func(o *agent.Observation) {
	return func(o *agent.Observation) { o.Drift.Policy = p }
}

// running is a host whose way back from b to a failed in this boot, and that runs current
// and is given toplevel then.
func running(current, toplevel proto.StorePath) agent.Observation {
	return with(lost(), func(o *agent.Observation) {
		o.Systems.Current = current
		o.Order.Assignment.Serial, o.Order.Release.Toplevel = 8, toplevel
	})
}

// couldNotBeFetched is running b after the deployment of c could not begin there, a minute
// ago.
func couldNotBeFetched(toplevel proto.StorePath) agent.Observation {
	return with(running(pathB, toplevel), func(o *agent.Observation) {
		o.Record = deployment.Deployment{
			ID: "8-x", Serial: 8, Toplevel: pathC, From: pathB, Lost: true, LostIn: "this", LostTo: []proto.StorePath{pathB}, Proven: o.Proven,
			Phase: proto.PhaseFailed, Reason: proto.ReasonCacheUnreachable, Attempt: 1, Since: o.Now.Add(-time.Minute),
		}
		if toplevel != pathC {
			o.Order.Assignment.Serial = 9
		}
	})
}

// bootedAfter is couldNotBeFetched of c, on a host that a ran on then, and that was booted
// into b since.
func bootedAfter(change func(o *agent.Observation)) agent.Observation {
	return with(couldNotBeFetched(pathC), func(o *agent.Observation) {
		o.Systems.Booted, o.Record.From, o.BootID = pathB, proto.StorePath{}, "later"
		change(o)
	})
}

func TestDecideWhatAFailedWayBackLeft(t *testing.T) {
	after := func(d time.Duration) func(o *agent.Observation) {
		return func(o *agent.Observation) { o.Record.Since = o.Now.Add(-d) }
	}
	for _, tt := range []struct {
		name   string
		o      agent.Observation
		want   agent.Action
		reason proto.Reason
	}{
		{"another system may be given to a host that runs the new one", running(pathB, pathC), agent.ActionDeploy, proto.ReasonDeploying},
		{"but not the one that failed there", running(pathB, pathB), agent.ActionRest, proto.ReasonRollbackFailed},
		{"nor what is proven, to which there was no way back", running(pathB, pathA), agent.ActionRest, proto.ReasonRollbackFailed},
		{"nor what is in quarantine", with(running(pathB, pathC), func(o *agent.Observation) {
			o.Quarantine = quarantine(o.Now.Add(time.Hour))
		}), agent.ActionRest, proto.ReasonQuarantined},
		{"nor any where the profile could not be pointed back", with(running(pathB, pathC), func(o *agent.Observation) {
			o.Systems.Profile = pathB
		}), agent.ActionRest, proto.ReasonRollbackFailed},
		{"nor in place of what somebody tests there", running(pathD, pathC), agent.ActionRest, proto.ReasonRollbackFailed},
		{"nor of what nobody knows", running(proto.StorePath{}, pathC), agent.ActionRest, proto.ReasonRollbackFailed},
		{"nor one that was not verified", with(running(pathB, pathC), func(o *agent.Observation) {
			o.Order = nil
		}), agent.ActionRest, proto.ReasonRollbackFailed},
		{"if that cannot be fetched it is tried again", couldNotBeFetched(pathC), agent.ActionDeploy, proto.ReasonDeploying},
		{"or a third one is given", couldNotBeFetched(pathD), agent.ActionDeploy, proto.ReasonDeploying},
		{"but still not what runs", couldNotBeFetched(pathB), agent.ActionRest, proto.ReasonRollbackFailed},
		{"and what is proven does not run by that", with(couldNotBeFetched(pathA), func(o *agent.Observation) {
			o.Systems.Current, o.Record.From = pathA, proto.StorePath{}
		}), agent.ActionRest, proto.ReasonRollbackFailed},
		{"until it was booted", with(couldNotBeFetched(pathA), func(o *agent.Observation) {
			o.Systems.Current, o.Record.From, o.BootID = pathA, proto.StorePath{}, "later"
		}), agent.ActionRest, proto.ReasonConverged},
		{"or gone back to", with(couldNotBeFetched(pathA), func(o *agent.Observation) {
			o.Systems.Current, o.Record.Phase, o.Record.Activations, o.Record.RollbackActivations = pathA, proto.PhaseRolledBack, 1, 1
		}), agent.ActionRest, proto.ReasonConverged},

		{"what was booted is gone back from", leftIn(pathB, pathB), agent.ActionRestore, proto.ReasonDriftRestored},
		{"also if only the boot loader led there", leftIn(pathB, pathA), agent.ActionRestore, proto.ReasonDriftRestored},
		{"or only the profile could not be pointed back", leftIn(pathA, pathB), agent.ActionRestore, proto.ReasonDriftRestored},
		{"that this could not begin does not make it proven", couldNotBegin(1), agent.ActionRest, proto.ReasonRetrying},
		{"nor that it shall run", with(couldNotBegin(1), policyOf(agent.DriftRestore)), agent.ActionRest, proto.ReasonRetrying},
		{"it is tried again", with(couldNotBegin(1), after(10*time.Second)), agent.ActionRestore, proto.ReasonDriftRestored},
		{"whatever the policy", with(with(couldNotBegin(1), after(10*time.Second)), policyOf(agent.DriftReport)), agent.ActionRestore, proto.ReasonDriftRestored},
		{"with growing pauses", with(couldNotBegin(7), after(9*time.Minute)), agent.ActionRest, proto.ReasonRetrying},
		{"but not fewer and fewer times", with(couldNotBegin(7), func(o *agent.Observation) {
			after(10 * time.Minute)(o)
			o.Drift.Policy, o.Drift.Since = agent.DriftRestore, o.Now.Add(-time.Hour)
			o.Drift.Restored = []time.Time{o.Now.Add(-30 * time.Minute), o.Now.Add(-20 * time.Minute), o.Now.Add(-10 * time.Minute)}
		}), agent.ActionRestore, proto.ReasonDriftRestored},
		{"until it is known that there is no way back", with(couldNotBegin(1), func(o *agent.Observation) {
			o.Record.Lost, o.Record.LostTo = false, nil
		}), agent.ActionAdopt, proto.ReasonAdopted},
		{"what somebody registered meanwhile is adopted", with(couldNotBegin(1), func(o *agent.Observation) {
			o.Systems.Current, o.Systems.Profile = pathC, pathC
		}), agent.ActionAdopt, proto.ReasonAdopted},

		{"it is gone back from also after a deployment that could not begin", bootedAfter(func(*agent.Observation) {}), agent.ActionRestore, proto.ReasonDriftRestored},
		{"and never will", bootedAfter(func(o *agent.Observation) {
			o.Record.Reason = proto.ReasonNotAToplevel
		}), agent.ActionRestore, proto.ReasonDriftRestored},
		{"or that ran into it", bootedAfter(func(o *agent.Observation) {
			o.Record.Phase, o.Record.Reason = proto.PhaseSuperseded, proto.ReasonThirdParty
		}), agent.ActionRestore, proto.ReasonDriftRestored},
		{"or was to begin from it", bootedAfter(func(o *agent.Observation) {
			o.Record.From, o.Order = pathB, nil
		}), agent.ActionRestore, proto.ReasonDriftRestored},
		{"and may be tried again", bootedAfter(func(o *agent.Observation) {
			o.Record.From = pathB
		}), agent.ActionRestore, proto.ReasonDriftRestored},
		{"or that began after another boot", bootedAfter(func(o *agent.Observation) {
			o.Record.Lost, o.Record.LostIn = false, ""
		}), agent.ActionRestore, proto.ReasonDriftRestored},
		{"one that is to begin is overtaken by that", bootedAfter(func(o *agent.Observation) {
			o.Record.Phase, o.Record.Reason = proto.PhaseAccepted, ""
		}), agent.ActionSupersede, proto.ReasonNotProven},
		{"also if it may not begin now", bootedAfter(func(o *agent.Observation) {
			o.Record.Phase, o.Record.Reason, o.Order = proto.PhaseFetched, "", nil
		}), agent.ActionSupersede, proto.ReasonNotProven},
		{"but not in the boot in which the way back failed", with(couldNotBeFetched(pathC), func(o *agent.Observation) {
			o.Record.Phase, o.Record.Reason = proto.PhaseAccepted, ""
		}), agent.ActionFetch, proto.ReasonDeploying},
		{"nor where what is proven was booted", bootedAfter(func(o *agent.Observation) {
			o.Systems.Current, o.Record.Phase, o.Record.Reason = pathA, proto.PhaseAccepted, ""
		}), agent.ActionFetch, proto.ReasonDeploying},
		{"a boot heals the host also while it is armed for another one", bootedAfter(func(o *agent.Observation) {
			o.Systems.Current, o.Record.Phase, o.Record.BootID = pathA, proto.PhaseSuperseded, "later"
			o.Order.Release.Toplevel = pathA
		}), agent.ActionRest, proto.ReasonConverged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := agent.Decide(tt.o); got.Action != tt.want || got.Reason != tt.reason {
				t.Errorf("Decide = %s because of %q: %s; want %s because of %q", got.Action, got.Reason, got.Message, tt.want, tt.reason)
			}
		})
	}
}

// TestOneFailureDoesNotMakeWhatFailedProven has a host boot into what it could not go
// back from, and what was proven be out of reach for a while, or for ever.
func TestOneFailureDoesNotMakeWhatFailedProven(t *testing.T) {
	for _, tt := range []struct {
		name    string
		policy  agent.DriftPolicy
		profile proto.StorePath
		gone    bool
		want    proto.StorePath // proven in the end
	}{
		{"whose profile names it", agent.DriftAdopt, pathC, false, pathB},
		{"where somebody else's work is undone", agent.DriftRestore, pathC, false, pathB},
		{"where somebody else's work is left alone", agent.DriftReport, pathC, false, pathB},
		{"whose boot loader led there", agent.DriftAdopt, pathB, false, pathB},
		{"and what was proven is gone", agent.DriftAdopt, pathC, true, pathC},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := provenAfter(t)
				w.drift = agent.DriftConfig{Policy: tt.policy, Settle: settle}
				w.systems = proto.Systems{Current: pathC, Booted: pathC, Profile: tt.profile, Generation: 3}
				w.absent, w.gone = pathB, tt.gone
				w.record(deployment.Deployment{
					ID: "7-x", Serial: 7, Toplevel: pathC, Phase: proto.PhaseRollbackFailed, Reason: proto.ReasonRollbackFailed, Registered: true, BootID: "before",
				})
				tried := 0
				w.examined = func() { tried++ }
				w.follow()
				w.assign(7, pathC)
				time.Sleep(time.Hour)
				synctest.Wait()
				if p, err := w.files.Proven(); err != nil || p.Toplevel != tt.want {
					t.Fatalf("proven is %+v, %v; want %s", p, err, tt.want)
				}
				if tt.gone {
					return
				}
				if tried < 5 || tried > 12 {
					t.Errorf("tried %d times in an hour", tried)
				}
				w.change(func() { w.absent = proto.StorePath{} })
				time.Sleep(11 * time.Minute)
				synctest.Wait()
				if d, err := w.files.Deployment(); err != nil || !d.Fetched() || !d.Restore || d.Toplevel != pathC || d.Proven.Toplevel != pathB || !d.Lost || !slices.Equal(d.LostTo, []proto.StorePath{pathC}) {
					t.Errorf("once it is in reach, it is %+v, %v", d, err)
				}
			})
		})
	}
}

// TestAnotherSystemBeginsWhereAWayBackFailed looks at the record that begins there: what
// it goes back to is what is proven, and how well that was before.
func TestAnotherSystemBeginsWhereAWayBackFailed(t *testing.T) {
	w := provenAfter(t)
	w.systems.Current = pathA
	failed := deployment.Deployment{
		ID: "6-x", Serial: 6, Toplevel: pathA, Phase: proto.PhaseRollbackFailed, Reason: proto.ReasonRollbackFailed, BootID: "boot", Registered: true,
		FailedBefore: []string{"old.service"}, RestartingBefore: []string{"flaps.service"},
	}
	w.record(failed)
	w.start()
	w.assign(7, pathC)
	d := w.awaitTransaction()
	if d.Toplevel != pathC || d.From != pathA || d.Proven.Toplevel != pathB || d.Runs() != pathA || d.BackTo() != pathB {
		t.Errorf("the record is %+v", d)
	}
	if !d.Lost || !d.Proven.Adopted || !slices.Equal(d.FailedBefore, failed.FailedBefore) || !slices.Equal(d.RestartingBefore, failed.RestartingBefore) {
		t.Errorf("the record is %+v, want it to know that it begins after a way back that failed", d)
	}
	if d.LostIn != failed.BootID || !slices.Equal(d.LostTo, []proto.StorePath{pathA}) {
		t.Errorf("the record is %+v, want it to know where and to what", d)
	}
}

// TestABootDoesNotForgetWhatAFailedWayBackLeft has one deployment after the other begin
// once the host was booted into what is proven: the next boot may lead elsewhere still.
func TestABootDoesNotForgetWhatAFailedWayBackLeft(t *testing.T) {
	for _, last := range []deployment.Deployment{
		{Phase: proto.PhaseRollbackFailed, Reason: proto.ReasonRollbackFailed, Toplevel: pathA, BootID: "before", Registered: true},
		{
			Phase: proto.PhaseFailed, Reason: proto.ReasonReadOnly, Toplevel: pathD,
			Lost: true, LostIn: "before", LostTo: []proto.StorePath{pathA}, Proven: deployment.Proven{Adopted: true},
		},
	} {
		w := provenAfter(t)
		last.ID, last.Serial = "6-x", 6
		w.record(last)
		w.start()
		w.assign(7, pathC)
		if d := w.awaitTransaction(); d.Lost || !slices.Equal(d.LostTo, []proto.StorePath{pathA}) || !d.Proven.Adopted || !d.From.IsZero() {
			t.Errorf("after %s the record is %+v", last.Phase, d)
		}
	}
}

// TestOneGoesBackByHandWhereAWayBackFailed looks at the record of that: what it brings back
// is judged by how well it was before.
func TestOneGoesBackByHandWhereAWayBackFailed(t *testing.T) {
	for _, tt := range []struct {
		name    string
		current proto.StorePath
		to      proto.Generation
	}{
		{"to what is proven", pathC, 0},
		{"to a generation, from what is proven", pathB, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := provenAfter(t)
			w.systems.Current = tt.current
			failed := deployment.Deployment{
				ID: "6-x", Serial: 6, Toplevel: pathC, Phase: proto.PhaseRollbackFailed, Reason: proto.ReasonRollbackFailed, BootID: "boot", Registered: true,
				FailedBefore: []string{"old.service"}, RestartingBefore: []string{"flaps.service"},
			}
			w.record(failed)
			a, _ := w.startAgent()
			if _, err := a.RollBack(t.Context(), control.RollBackRequest{To: tt.to, By: "ada"}); err != nil {
				t.Fatal(err)
			}
			d := w.awaitByHand()
			if d.Restore != (tt.current == pathC) || !d.Lost || d.LostIn != "boot" || !slices.Equal(d.LostTo, []proto.StorePath{pathC}) || !d.Proven.Adopted ||
				!slices.Equal(d.FailedBefore, failed.FailedBefore) || !slices.Equal(d.RestartingBefore, failed.RestartingBefore) {
				t.Errorf("the record is %+v, want it to know that it begins after a way back that failed", d)
			}
		})
	}
}

func TestALostHostSaysWhatHelps(t *testing.T) {
	for profile, want := range map[proto.StorePath]string{
		pathA: "reboot the host, or assign another system to it; it hangs",
		pathB: "reboot the host; it hangs",
	} {
		o := running(pathB, pathB)
		o.Systems.Profile, o.Record.Message = profile, "it hangs"
		if got := agent.Decide(o).Message; got != want {
			t.Errorf("with %s as the profile: %q, want %q", profile, got, want)
		}
	}
}
