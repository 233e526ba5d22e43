package proto

// A Reason says why, in one word of a closed list, so that people can alert on
// it and scripts can branch on it. Reasons travel in status, events and
// metrics. A reader keeps a reason that it does not know. The zero value is no
// reason.
type Reason string

// Why a desired state was refused before anything was done.
const (
	ReasonMalformed     Reason = "malformed"      // not a message at all
	ReasonOversized     Reason = "oversized"      // more bytes than a message may have
	ReasonUnknownFormat Reason = "unknown-format" // a format number that this version does not know
	ReasonUnknownKey    Reason = "unknown-key"    // signed, but by no trusted key
	ReasonBadSignature  Reason = "bad-signature"  // a trusted key's signature does not fit the bytes
	ReasonWrongHost     Reason = "wrong-host"     // meant for another host
	ReasonMismatch      Reason = "mismatch"       // release and assignment do not belong together
	ReasonRollback      Reason = "rollback"       // older than what was accepted before
	ReasonExpired       Reason = "expired"        // the assignment is no longer valid
	ReasonFreeze        Reason = "freeze"         // nothing fresh came for longer than an assignment is valid, although there is contact
	ReasonFloorsLost    Reason = "floors-lost"    // what was accepted before is lost, and a reset is waited for
	ReasonClock         Reason = "clock"          // the local clock is not believable
	ReasonWithdrawn     Reason = "withdrawn"      // the release was withdrawn
	ReasonQuarantined   Reason = "quarantined"    // this toplevel failed here before
)

// Why a deployment ended before the running system was touched.
const (
	ReasonCacheUnreachable Reason = "cache-unreachable" // no cache answered
	ReasonFetchFailed      Reason = "fetch-failed"      // the closure could not be had whole
	ReasonUntrustedPath    Reason = "untrusted-path"    // a store path lacks a trusted signature
	ReasonDigestMismatch   Reason = "digest-mismatch"   // the bytes that arrived are not those that were signed
	ReasonDiskFull         Reason = "disk-full"         // no room
	ReasonReadOnly         Reason = "read-only"         // a file system that has to be written to is read-only
	ReasonHookRefused      Reason = "hook-refused"      // a hook before the fetch or the activation failed
	ReasonNotAToplevel     Reason = "not-a-toplevel"    // not a NixOS system, or one that cannot be switched to
	ReasonNoAgent          Reason = "no-agent"          // the new system has no kedge-agent to come back with
	ReasonBadConfig        Reason = "bad-config"        // the new system's agent configuration cannot be used
	ReasonNoSpecialisation Reason = "no-specialisation" // the new system has not the specialisation that its configuration names
	ReasonRebootNeeded     Reason = "reboot-needed"     // cannot be run without a reboot
	ReasonUnprotected      Reason = "unprotected"       // its trial boot could not be undone, and the host asks for that
	ReasonCheckRefused     Reason = "pre-switch-check"  // the new system's own pre-switch checks refused
	ReasonBusy             Reason = "busy"              // somebody else was switching the system all the time
	ReasonNewerAssignment  Reason = "newer-assignment"  // overtaken before activation
	ReasonNotProven        Reason = "not-proven"        // what runs is not what was proven
	ReasonStateUnreadable  Reason = "state-unreadable"  // a state file is torn or newer than this version
)

// Why a deployment was rolled back, or how it ended otherwise.
const (
	ReasonActivationFailed Reason = "activation-failed"   // switch-to-configuration failed
	ReasonActivationHung   Reason = "activation-hung"     // it did not end before its deadline
	ReasonUnitsFailed      Reason = "units-failed"        // units failed that did not fail before
	ReasonCheckFailed      Reason = "check-failed"        // a required check did not pass
	ReasonNoContact        Reason = "no-contact"          // the new agent did not reach and verify its desired state
	ReasonPowerLoss        Reason = "power-loss"          // the host went down in the middle
	ReasonInterrupted      Reason = "interrupted"         // the transaction was ended too often
	ReasonThirdParty       Reason = "third-party"         // somebody else changed the system meanwhile
	ReasonRegisterFailed   Reason = "register-failed"     // the profile or the boot default could not be set
	ReasonRollbackFailed   Reason = "rollback-failed"     // the proven system could not be brought back
	ReasonTrialBootFailed  Reason = "trial-boot-failed"   // the trial boot ended in the proven system
	ReasonRebootFailed     Reason = "reboot-failed"       // the host did not go down
	ReasonRolledBackByHand Reason = "rolled-back-by-hand" // somebody on the host went back
	ReasonDriftRestored    Reason = "drift-restored"      // something else ran than what was proven, which was brought back
	ReasonSpecialised      Reason = "specialised"         // ran in another specialisation than it shall, which was brought back
)

// Why a host does nothing, or is as it is; and why the newest revision did not
// reach it, or nobody.
const (
	ReasonConverged         Reason = "converged"          // runs what it shall
	ReasonNoDesired         Reason = "no-desired"         // nothing was ever assigned
	ReasonUnreachable       Reason = "unreachable"        // NATS cannot be reached
	ReasonConnected         Reason = "connected"          // NATS was reached
	ReasonDeploying         Reason = "deploying"          // a deployment is under way
	ReasonAdopted           Reason = "adopted"            // a system that runs and is registered was taken as proven
	ReasonDrifted           Reason = "drifted"            // runs something that was not committed
	ReasonDriftLoop         Reason = "drift-loop"         // drifts again and again, and is left alone
	ReasonOtherChosen       Reason = "other-chosen"       // somebody chose another specialisation than its configuration
	ReasonRetrying          Reason = "retrying"           // failed, and will be tried again
	ReasonGaveUp            Reason = "gave-up"            // failed, and waits for a new assignment
	ReasonSuspended         Reason = "suspended"          // somebody on the host told it to begin nothing
	ReasonInhibited         Reason = "inhibited"          // somebody on the host holds back what was fetched
	ReasonNoLease           Reason = "no-lease"           // as many hosts as may reboot at a time do already
	ReasonTried             Reason = "tried"              // ran what it shall only try
	ReasonHeld              Reason = "held"               // its policy, or somebody's wish, is to wait for a person; or another channel claims it
	ReasonAwaitingBoot      Reason = "awaiting-boot"      // takes effect when somebody boots the host
	ReasonOutsideWindow     Reason = "outside-window"     // waits for a time at which it may reboot, or get something new
	ReasonAwaitingLease     Reason = "awaiting-lease"     // waits for its turn to reboot
	ReasonLooping           Reason = "looping"            // was asked for the same system again and again
	ReasonVerifying         Reason = "verifying"          // reads the store after a boot before which there was no orderly end
	ReasonStoreCorrupt      Reason = "store-corrupt"      // paths of the store have not the content that is registered
	ReasonConfirmed         Reason = "confirmed"          // somebody on the host let go on what was held back
	ReasonStuck             Reason = "stuck"              // its transaction cannot go on, and must not give up
	ReasonLastResort        Reason = "last-resort"        // the host went back, hears from nobody, and reboots for that
	ReasonHookFailed        Reason = "hook-failed"        // a hook after the end of a deployment failed
	ReasonExpiredIdentity   Reason = "identity-expired"   // the credentials were not renewed in time
	ReasonRefusedIdentity   Reason = "identity-refused"   // the credentials are another host's, or the controller does not vouch for them any more
	ReasonSecondMachine     Reason = "second-machine"     // another machine is this host
	ReasonMachineChanged    Reason = "machine-changed"    // the state is that of another machine
	ReasonWrongMachine      Reason = "wrong-machine"      // its configuration is for another machine
	ReasonBuildFailed       Reason = "build-failed"       // the host's system, or all, did not build
	ReasonEvalFailed        Reason = "eval-failed"        // the host's system, or the flake, did not evaluate
	ReasonNotInRevision     Reason = "not-in-revision"    // the revision has no such host
	ReasonTwoChannels       Reason = "two-channels"       // more than one channel claims the host
	ReasonGone              Reason = "gone"               // what the host shall get is neither in the cache nor in a store
	ReasonBadHostName       Reason = "bad-host-name"      // a name in the flake cannot be a host's
	ReasonNoConfigurations  Reason = "no-configurations"  // the flake has no nixosConfigurations, or none in it
	ReasonNoFlake           Reason = "no-flake"           // there is no flake.nix, or no such file as is configured
	ReasonBadSpec           Reason = "bad-spec"           // what the flake says about its rollouts cannot be used
	ReasonNoBranch          Reason = "no-branch"          // the repository has no such branch
	ReasonUnsigned          Reason = "unsigned"           // a commit is not signed by an allowed signer
	ReasonForcePushed       Reason = "force-pushed"       // the branch was pushed over, which is to be refused
	ReasonSourceUnreachable Reason = "source-unreachable" // the repository cannot be read
	ReasonNoSubmodule       Reason = "no-submodule"       // a submodule cannot be read, or may not be

	ReasonNoBuilder   Reason = "no-builder"          // no machine builds for the host's system, or has a feature that it needs
	ReasonNoBuildHost Reason = "builder-unreachable" // the build host cannot be reached
)

// What a host waits for before a rollout gives it something new; [ReasonHeld] and
// [ReasonOutsideWindow] are others.
const (
	ReasonItsTurn          Reason = "its-turn"          // nothing: it is given something now
	ReasonEarlierWave      Reason = "earlier-wave"      // hosts that go before it
	ReasonAwaitingCanary   Reason = "awaiting-canary"   // the canaries of its own wave
	ReasonCanaryDeferred   Reason = "canary-deferred"   // the same, which wait for something of their own: a person may have to act
	ReasonSoaking          Reason = "soaking"           // the wave before it, or its canaries, are watched for a while
	ReasonAwaitingApproval Reason = "awaiting-approval" // a person has to let its wave go
	ReasonInFlight         Reason = "in-flight"         // as many hosts as may go at a time do already
	ReasonFleetSilent      Reason = "fleet-silent"      // too many hosts that could be heard are silent
	ReasonFrozen           Reason = "frozen"            // nothing new goes out
	ReasonPaused           Reason = "paused"            // a person paused the rollout
	ReasonHalted           Reason = "halted"            // a budget halted the rollout
	ReasonAborted          Reason = "aborted"           // a person ended the rollout
	ReasonReverted         Reason = "reverted"          // the rollout is taken back
)

// RefusalReasons returns the reasons for which [Desired.Verify] refuses.
func RefusalReasons() []Reason {
	return []Reason{
		ReasonMalformed, ReasonOversized, ReasonUnknownFormat, ReasonUnknownKey, ReasonBadSignature,
		ReasonWrongHost, ReasonMismatch, ReasonRollback, ReasonExpired, ReasonFreeze, ReasonFloorsLost, ReasonClock, ReasonWithdrawn,
	}
}

// DeploymentReasons returns the reasons that a deployment may end for: those of
// a refusal, because it is verified again before its activation, and those that
// are found on the way.
func DeploymentReasons() []Reason {
	return append(RefusalReasons(),
		ReasonCacheUnreachable, ReasonFetchFailed, ReasonUntrustedPath, ReasonDigestMismatch, ReasonDiskFull, ReasonReadOnly, ReasonHookRefused,
		ReasonNotAToplevel, ReasonNoAgent, ReasonBadConfig, ReasonNoSpecialisation, ReasonRebootNeeded, ReasonUnprotected, ReasonCheckRefused, ReasonBusy,
		ReasonNewerAssignment, ReasonNotProven, ReasonStateUnreadable,
		ReasonActivationFailed, ReasonActivationHung, ReasonUnitsFailed, ReasonCheckFailed, ReasonNoContact,
		ReasonPowerLoss, ReasonInterrupted, ReasonThirdParty, ReasonRegisterFailed, ReasonRollbackFailed,
		ReasonTrialBootFailed, ReasonRebootFailed,
		ReasonRolledBackByHand, ReasonDriftRestored, ReasonSpecialised,
	)
}

// RestingReasons returns those for which a host does not begin what it accepted, and will
// not without somebody's doing; see [Status.Rests].
func RestingReasons() []Reason {
	return []Reason{
		ReasonQuarantined, ReasonRolledBackByHand, ReasonLooping, ReasonGaveUp, ReasonNotProven, ReasonDriftLoop, ReasonStateUnreadable,
	}
}
