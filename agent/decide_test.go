package agent_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"kedge/agent"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/proto"
)

var (
	pathA = mustPath("/nix/store/00000000000000000000000000000000-nixos-system-a")
	pathB = mustPath("/nix/store/11111111111111111111111111111111-nixos-system-b")
	pathC = mustPath("/nix/store/22222222222222222222222222222222-nixos-system-c")
)

func mustPath(s string) proto.StorePath {
	p, err := proto.ParseStorePath(s)
	if err != nil {
		panic(err)
	}
	return p
}

// settledOn is a host that runs a, proven, and shall run want as serial 7.
func settledOn(a, want proto.StorePath) agent.Observation {
	return agent.Observation{
		Proven:  deployment.Proven{Toplevel: a, Generation: 1},
		Systems: proto.Systems{Current: a, Profile: a, Generation: 1},
		Order:   &proto.Order{Assignment: proto.Assignment{Serial: 7}, Release: proto.Release{Toplevel: want}},
		Now:     time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}
}

// ended is settledOn after serial 7 ended in phase, a minute ago.
func ended(phase proto.Phase, reason proto.Reason, attempt int) agent.Observation {
	o := settledOn(pathA, pathB)
	o.Record = deployment.Deployment{
		ID: "7-x", Serial: 7, Toplevel: pathB, Phase: phase, Reason: reason, Attempt: attempt, Since: o.Now.Add(-time.Minute),
	}
	return o
}

// byHand is settledOn in a deployment that somebody on the host wanted.
func byHand(phase proto.Phase) agent.Observation {
	return with(ended(phase, proto.ReasonRolledBackByHand, 1), func(o *agent.Observation) {
		o.Record.Serial, o.Record.Origin = 0, deployment.OriginHand
	})
}

// lost is a host whose rollback failed in this boot.
func lost() agent.Observation {
	return with(ended(proto.PhaseRollbackFailed, proto.ReasonRollbackFailed, 1), func(o *agent.Observation) {
		o.BootID, o.Record.BootID = "this", "this"
	})
}

// withdrawn is a host on which the record's release was withdrawn, and what is
// desired refused for that.
func withdrawn(o *agent.Observation) {
	o.Withdrawn, o.Order = true, nil
	o.Refusal = &proto.RefusalError{Reason: proto.ReasonWithdrawn, Err: errors.New("withdrawn")}
}

func quarantine(until time.Time) statefile.Quarantine {
	return statefile.Quarantine{Toplevel: pathB, Reason: proto.ReasonUnitsFailed, Until: until}
}

func with(o agent.Observation, change func(o *agent.Observation)) agent.Observation {
	change(&o)
	return o
}

func TestDecide(t *testing.T) {
	for _, tt := range []struct {
		name    string
		o       agent.Observation
		want    agent.Action
		reason  proto.Reason
		attempt int
	}{
		{"a new host takes its registered system as proven", with(settledOn(pathA, pathB), func(o *agent.Observation) {
			o.Proven = deployment.Proven{}
		}), agent.ActionAdopt, proto.ReasonAdopted, 0},
		{"a host that runs what it shall rests", settledOn(pathA, pathA), agent.ActionRest, proto.ReasonConverged, 0},
		{"a host that shall run something else deploys it", settledOn(pathA, pathB), agent.ActionDeploy, proto.ReasonDeploying, 1},
		{"a host that nothing is wanted of rests", with(settledOn(pathA, pathB), func(o *agent.Observation) {
			o.Order = nil
		}), agent.ActionRest, proto.ReasonNoDesired, 0},
		{"a refused desired state is rested on, with its reason", with(settledOn(pathA, pathB), func(o *agent.Observation) {
			o.Order, o.Refusal = nil, &proto.RefusalError{Reason: proto.ReasonExpired, Err: errors.New("expired")}
		}), agent.ActionRest, proto.ReasonExpired, 0},
		{"a quarantined system is not tried", with(settledOn(pathA, pathB), func(o *agent.Observation) {
			o.Quarantine = quarantine(o.Now.Add(time.Hour))
		}), agent.ActionRest, proto.ReasonQuarantined, 0},
		{"a system that somebody switched to and registered is adopted", with(settledOn(pathA, pathB), func(o *agent.Observation) {
			o.Systems.Current, o.Systems.Profile = pathC, pathC
		}), agent.ActionAdopt, proto.ReasonAdopted, 0},
		{"a system that somebody only tests is left alone", with(settledOn(pathA, pathB), func(o *agent.Observation) {
			o.Systems.Current = pathC
		}), agent.ActionRest, proto.ReasonNotProven, 0},
		{"a profile that somebody moved is left alone", with(settledOn(pathA, pathB), func(o *agent.Observation) {
			o.Systems.Profile = pathC
		}), agent.ActionRest, proto.ReasonNotProven, 0},

		{"an unfinished transaction comes first, whatever is wanted", with(ended(proto.PhaseProbation, "", 1), func(o *agent.Observation) {
			o.Order = nil
			o.Systems.Current = pathB
		}), agent.ActionSettle, proto.ReasonDeploying, 0},
		{"and so does a rollback", ended(proto.PhaseRollingBack, "", 1), agent.ActionSettle, proto.ReasonDeploying, 0},
		{"a fetch goes on", ended(proto.PhaseAccepted, "", 1), agent.ActionFetch, proto.ReasonDeploying, 0},
		{"what is fetched goes into its transaction", ended(proto.PhaseFetched, "", 1), agent.ActionSettle, proto.ReasonDeploying, 0},
		{"what is fetched waits for a verified desired state", with(ended(proto.PhaseFetched, "", 1), func(o *agent.Observation) {
			o.Order = nil
		}), agent.ActionRest, proto.ReasonNoDesired, 0},
		{"a newer assignment overtakes a fetch", with(ended(proto.PhaseAccepted, "", 1), func(o *agent.Observation) {
			o.Order.Assignment.Serial = 8
		}), agent.ActionSupersede, proto.ReasonNewerAssignment, 0},

		{"a withdrawn release ends while it is fetched", with(ended(proto.PhaseAccepted, "", 1), withdrawn), agent.ActionWithdraw, proto.ReasonWithdrawn, 0},
		{"and before it is activated", with(ended(proto.PhaseFetched, "", 1), withdrawn), agent.ActionWithdraw, proto.ReasonWithdrawn, 0},
		{"also while somebody has suspended the agent", with(with(ended(proto.PhaseFetched, "", 1), withdrawn), func(o *agent.Observation) {
			o.Suspended = &statefile.Suspension{Since: o.Now}
		}), agent.ActionWithdraw, proto.ReasonWithdrawn, 0},
		{"but not in the middle of its transaction", with(ended(proto.PhaseProbation, "", 1), withdrawn), agent.ActionSettle, proto.ReasonDeploying, 0},

		{"what was rolled back is not tried again", with(ended(proto.PhaseRolledBack, proto.ReasonUnitsFailed, 1), func(o *agent.Observation) {
			o.Quarantine = quarantine(o.Now.Add(time.Hour))
		}), agent.ActionRest, proto.ReasonQuarantined, 0},
		{"nor if somebody asks", with(ended(proto.PhaseRolledBack, proto.ReasonUnitsFailed, 1), func(o *agent.Observation) {
			o.Quarantine, o.Rung = quarantine(o.Now.Add(time.Hour)), true
		}), agent.ActionRest, proto.ReasonQuarantined, 0},
		{"until its quarantine is over", with(ended(proto.PhaseRolledBack, proto.ReasonUnitsFailed, 1), func(o *agent.Observation) {
			o.Record.Since = o.Now.Add(-statefile.QuarantineLifetime)
		}), agent.ActionDeploy, proto.ReasonDeploying, 2},
		{"nor sooner for a quarantine that could not be written", ended(proto.PhaseRolledBack, proto.ReasonUnitsFailed, 1), agent.ActionRest, proto.ReasonRetrying, 0},
		{"at once if it was lifted", with(ended(proto.PhaseRolledBack, proto.ReasonUnitsFailed, 1), func(o *agent.Observation) {
			o.Record.Lifted, o.Record.Since = true, o.Now
		}), agent.ActionDeploy, proto.ReasonDeploying, 2},
		{"soon if somebody asks", with(ended(proto.PhaseRolledBack, proto.ReasonUnitsFailed, 1), func(o *agent.Observation) {
			o.Rung = true
		}), agent.ActionDeploy, proto.ReasonDeploying, 2},
		{"what the boot loader refused is not tried again", ended(proto.PhaseRolledBack, proto.ReasonRegisterFailed, 1), agent.ActionRest, proto.ReasonGaveUp, 0},
		{"nor if somebody asks for that", with(ended(proto.PhaseRolledBack, proto.ReasonRegisterFailed, 1), func(o *agent.Observation) {
			o.Rung = true
		}), agent.ActionRest, proto.ReasonGaveUp, 0},
		{"what was rolled back is tried under a new serial", with(ended(proto.PhaseRolledBack, proto.ReasonUnitsFailed, 1), func(o *agent.Observation) {
			o.Order.Assignment.Serial = 8
		}), agent.ActionDeploy, proto.ReasonDeploying, 1},
		{"what a third party went back from is left alone", ended(proto.PhaseCommitted, "", 1), agent.ActionRest, proto.ReasonDrifted, 0},
		{"what the power interrupted is tried once more at once", ended(proto.PhaseInconclusive, proto.ReasonPowerLoss, 1), agent.ActionDeploy, proto.ReasonDeploying, 2},
		{"what proved nothing is tried again after a while", ended(proto.PhaseInconclusive, proto.ReasonNoContact, 1), agent.ActionDeploy, proto.ReasonDeploying, 2},
		{"but not before", ended(proto.PhaseInconclusive, proto.ReasonNoContact, 3), agent.ActionRest, proto.ReasonRetrying, 0},
		{"unless somebody asks", with(ended(proto.PhaseInconclusive, proto.ReasonNoContact, 3), func(o *agent.Observation) {
			o.Rung = true
		}), agent.ActionDeploy, proto.ReasonDeploying, 4},
		{"but not as fast as a bell can be rung", with(ended(proto.PhaseInconclusive, proto.ReasonNoContact, 3), func(o *agent.Observation) {
			o.Rung = true
			o.Record.Since = o.Now.Add(-10 * time.Second)
		}), agent.ActionRest, proto.ReasonRetrying, 0},
		{"what was interrupted twice waits like everything else", with(ended(proto.PhaseInconclusive, proto.ReasonPowerLoss, 2), func(o *agent.Observation) {
			o.Record.Interrupted = 1
			o.Record.Since = o.Now.Add(-10 * time.Second)
		}), agent.ActionRest, proto.ReasonRetrying, 0},
		{"a clock that was set back delays nothing", with(ended(proto.PhaseInconclusive, proto.ReasonNoContact, 3), func(o *agent.Observation) {
			o.Record.Since = o.Now.Add(1000 * time.Hour)
		}), agent.ActionDeploy, proto.ReasonDeploying, 4},
		{"another release under the same serial is another order", with(ended(proto.PhaseRolledBack, proto.ReasonUnitsFailed, 1), func(o *agent.Observation) {
			o.Order.Assignment.Release = proto.DigestOf([]byte("another"))
		}), agent.ActionDeploy, proto.ReasonDeploying, 1},
		{"also for what was fetched", with(ended(proto.PhaseFetched, "", 1), func(o *agent.Observation) {
			o.Order.Assignment.Release = proto.DigestOf([]byte("another"))
		}), agent.ActionSupersede, proto.ReasonNewerAssignment, 0},

		{"after a rollback that failed a host is not converged, whatever its links say", with(lost(), func(o *agent.Observation) {
			o.Order.Release.Toplevel = pathA
			o.Order.Assignment.Serial = 8
		}), agent.ActionRest, proto.ReasonRollbackFailed, 0},
		{"until it was booted", with(lost(), func(o *agent.Observation) {
			o.Order.Release.Toplevel = pathA
			o.BootID = "later"
		}), agent.ActionRest, proto.ReasonConverged, 0},
		{"it may be given another system", with(lost(), func(o *agent.Observation) {
			o.Order.Assignment.Serial = 8
		}), agent.ActionDeploy, proto.ReasonDeploying, 1},
		{"it says so, too, where the new system still runs", with(lost(), func(o *agent.Observation) {
			o.Systems.Current = pathB
		}), agent.ActionRest, proto.ReasonRollbackFailed, 0},
		{"and does not take that for proven, though the profile could not be pointed back", with(lost(), func(o *agent.Observation) {
			o.Systems.Current, o.Systems.Profile = pathB, pathB
		}), agent.ActionRest, proto.ReasonRollbackFailed, 0},
		{"nor once that was booted, but goes back once more", with(lost(), func(o *agent.Observation) {
			o.Systems = proto.Systems{Current: pathB, Booted: pathB, Profile: pathB}
			o.BootID = "later"
		}), agent.ActionRestore, proto.ReasonDriftRestored, 0},
		{"whatever the policy says of somebody's work", with(lost(), func(o *agent.Observation) {
			o.Systems = proto.Systems{Current: pathB, Booted: pathB, Profile: pathB}
			o.BootID, o.Drift.Policy = "later", agent.DriftReport
		}), agent.ActionRestore, proto.ReasonDriftRestored, 0},
		{"what somebody switched to and registered is adopted then, too", with(lost(), func(o *agent.Observation) {
			o.Systems.Current, o.Systems.Profile = pathC, pathC
		}), agent.ActionAdopt, proto.ReasonAdopted, 0},

		{"what somebody on the host wants goes into its transaction, though nothing is ordered", with(byHand(proto.PhaseFetched), func(o *agent.Observation) {
			o.Order = nil
		}), agent.ActionSettle, proto.ReasonDeploying, 0},
		{"and no assignment overtakes it", byHand(proto.PhaseFetched), agent.ActionSettle, proto.ReasonDeploying, 0},
		{"and no suspension keeps it", with(byHand(proto.PhaseFetched), func(o *agent.Observation) {
			o.Suspended = &statefile.Suspension{Since: o.Now}
		}), agent.ActionSettle, proto.ReasonDeploying, 0},
		{"but that keeps what follows", with(byHand(proto.PhaseCommitted), func(o *agent.Observation) {
			o.Suspended = &statefile.Suspension{Since: o.Now}
		}), agent.ActionRest, proto.ReasonSuspended, 0},
		{"what somebody went back from is not deployed again", with(byHand(proto.PhaseCommitted), func(o *agent.Observation) {
			o.Quarantine = quarantine(o.Now.Add(time.Hour))
			o.Quarantine.Reason = proto.ReasonRolledBackByHand
		}), agent.ActionRest, proto.ReasonRolledBackByHand, 0},
		{"until it is lifted", byHand(proto.PhaseCommitted), agent.ActionDeploy, proto.ReasonDeploying, 1},
		{"nor what somebody took back before it began", ended(proto.PhaseSuperseded, proto.ReasonRolledBackByHand, 1), agent.ActionRest, proto.ReasonRetrying, 0},
		{"for a day", with(ended(proto.PhaseSuperseded, proto.ReasonRolledBackByHand, 1), func(o *agent.Observation) {
			o.Record.Since = o.Now.Add(-statefile.QuarantineLifetime)
		}), agent.ActionDeploy, proto.ReasonDeploying, 2},
		{"or until that is lifted", with(ended(proto.PhaseSuperseded, proto.ReasonRolledBackByHand, 1), func(o *agent.Observation) {
			o.Record.Lifted = true
		}), agent.ActionDeploy, proto.ReasonDeploying, 2},

		{"a fetch that failed is tried again", ended(proto.PhaseFailed, proto.ReasonCacheUnreachable, 1), agent.ActionDeploy, proto.ReasonDeploying, 2},
		{"with growing pauses", ended(proto.PhaseFailed, proto.ReasonCacheUnreachable, 5), agent.ActionRest, proto.ReasonRetrying, 0},
		{"at once if somebody asks who mended the disk", with(ended(proto.PhaseFailed, proto.ReasonReadOnly, 5), func(o *agent.Observation) {
			o.Rung, o.Record.Since = true, o.Now
		}), agent.ActionDeploy, proto.ReasonDeploying, 6},
		{"at once if somebody asks", with(ended(proto.PhaseFailed, proto.ReasonDiskFull, 5), func(o *agent.Observation) {
			o.Rung, o.Record.Since = true, o.Now
		}), agent.ActionDeploy, proto.ReasonDeploying, 6},
		{"but not what ran the new system's programs", with(ended(proto.PhaseFailed, proto.ReasonActivationFailed, 1), func(o *agent.Observation) {
			o.Rung = true
			o.Record.Since = o.Now.Add(-20 * time.Second)
		}), agent.ActionRest, proto.ReasonRetrying, 0},
		{"nor what ran the boot loader's", with(ended(proto.PhaseFailed, proto.ReasonRegisterFailed, 5), func(o *agent.Observation) {
			o.Rung = true
			o.Record.Since = o.Now.Add(-20 * time.Second)
		}), agent.ActionRest, proto.ReasonRetrying, 0},
		{"after a while that is done, too", with(ended(proto.PhaseFailed, proto.ReasonBusy, 5), func(o *agent.Observation) {
			o.Rung = true
		}), agent.ActionDeploy, proto.ReasonDeploying, 6},
		{"what is no system is not tried again", ended(proto.PhaseFailed, proto.ReasonNotAToplevel, 1), agent.ActionRest, proto.ReasonGaveUp, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := agent.Decide(tt.o)
			if got.Action != tt.want || got.Reason != tt.reason || got.Attempt != tt.attempt {
				t.Errorf("Decide = %s because of %q, attempt %d; want %s because of %q, attempt %d",
					got.Action, got.Reason, got.Attempt, tt.want, tt.reason, tt.attempt)
			}
			if waits := slices.Contains([]proto.Reason{proto.ReasonRetrying, proto.ReasonQuarantined, proto.ReasonRolledBackByHand}, got.Reason); waits != got.Again.After(tt.o.Now) {
				t.Errorf("Decide again at %s; it is %s, and waits for a time: %v", got.Again, tt.o.Now, waits)
			}
		})
	}
}
