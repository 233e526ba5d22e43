package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"

	"kedge/agent/internal/credentials"
	"kedge/agent/internal/machine"
	"kedge/agent/internal/statefile"
	"kedge/proto"
)

// thisMachine returns what tells this machine from others, and why it may not act as
// the host: the state is of another one, or it cannot be known of which. Without the guard,
// and where the machine has no identity, both are empty. The agent may be the only way to
// the host, so that nothing here keeps it from starting. root is as for [machine.Instance].
func thisMachine(ctx context.Context, c Config, root string, files statefile.Dir, log *slog.Logger) (instance string, barred credentials.State) {
	if !c.MachineGuard {
		return "", credentials.State{}
	}
	instance, err := machine.Instance(root)
	if err != nil {
		log.WarnContext(ctx, "this machine cannot be told from others", "err", err)
		return "", credentials.State{}
	}
	was, err := files.Machine()
	if err != nil {
		log.ErrorContext(ctx, "it cannot be known which machine the state is of; nothing is begun", "err", err)
		return instance, credentials.State{Reason: proto.ReasonStateUnreadable, Message: fmt.Sprintf(
			"%v: if the state is this machine's, remove %s/machine.json and restart the agent", err, c.StateDir)}
	}
	if was.Instance == "" {
		if err := files.SaveMachine(statefile.Machine{Instance: instance}); err != nil {
			log.ErrorContext(ctx, "it cannot be noted which machine the state is of; that is tried again at the next start", "err", err)
		}
		return instance, credentials.State{}
	}
	if was.Instance != instance {
		log.ErrorContext(ctx, "the state is that of another machine; nothing is begun", "was", was.Instance, "is", instance)
		return instance, foreignState(c.StateDir)
	}
	return instance, credentials.State{}
}

// unknownMachine is why it cannot be known which machine the state is of, or nil.
func unknownMachine(s credentials.State) error {
	if s.Reason != proto.ReasonStateUnreadable {
		return nil
	}
	return errors.New(s.Message)
}

// foreignState says what to do about state that was copied.
func foreignState(stateDir string) credentials.State {
	return credentials.State{Reason: proto.ReasonMachineChanged, Message: fmt.Sprintf(
		"%s is a copy of another machine's: give this one a name and credentials of its own, or, if it is the same one with another machine id, enrol it again (kedge host token, kedge-agent enroll) or remove %s/machine.json, and then restart the agent (systemctl restart kedge-agent)",
		stateDir, stateDir)}
}

// wrongMachine returns why a configuration for the machine with the ID want is none for
// this one, which is: nil if it is, or is for any. It tells nobody either ID.
func wrongMachine(want, is string) error {
	if want == "" || want == is {
		return nil
	}
	return errors.New("the configuration is for another machine: /etc/machine-id is not what machine_id says")
}

// machineIDForm is what machine-id(5) says.
var machineIDForm = regexp.MustCompile("^[0-9a-f]{32}$")

// whileBarred is for a machine that is not the one that it would act as.
func whileBarred(s credentials.State) Decision {
	return Decision{Action: ActionRest, Reason: s.Reason, Message: s.Message}
}
