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
	was, barred := whose(files, instance)
	if barred.Bars() {
		log.ErrorContext(ctx, "the state is not known to be this machine's; nothing is begun", "why", barred.Message)
		return instance, barred
	}
	if was == "" {
		if err := files.SaveMachine(statefile.Machine{Instance: instance}); err != nil {
			log.ErrorContext(ctx, "it cannot be noted which machine the state is of; that is tried again at the next start", "err", err)
		}
	}
	return instance, credentials.State{}
}

// whose returns which machine the state is of, empty if that is to be noted yet, and why
// this one, instance, may not act on it.
func whose(files statefile.Dir, instance string) (was string, barred credentials.State) {
	m, err := files.Machine()
	if err != nil {
		return "", credentials.State{Reason: proto.ReasonStateUnreadable, Message: fmt.Sprintf(
			"%v: if the state is this machine's, remove %s/machine.json", err, files.State)}
	}
	if m.Instance != "" && m.Instance != instance {
		return m.Instance, credentials.State{Reason: proto.ReasonMachineChanged, Message: fmt.Sprintf(
			"%[1]s is a copy of another machine's: give this one a name and credentials of its own, or, if it is the same one with another machine id, enrol it again (kedge host token, kedge-agent enroll) or remove %[1]s/machine.json",
			files.State)}
	}
	return m.Instance, credentials.State{}
}

// barredHere reports whether it is by what the machine found at its start that it may not
// act, and not by what a controller says of it.
func barredHere(s credentials.State) bool {
	return s.Reason == proto.ReasonMachineChanged || s.Reason == proto.ReasonStateUnreadable
}

// freed reports whether somebody mended what kept this machine from acting when the
// agent was started.
func (a *Agent) freed() bool {
	if !barredHere(a.Keeper.State()) {
		return false
	}
	_, barred := whose(a.Files, a.Identity.Instance)
	return !barred.Bars()
}

// unknownMachine is why it cannot be known which machine the state is of, or nil.
func unknownMachine(s credentials.State) error {
	if s.Reason != proto.ReasonStateUnreadable {
		return nil
	}
	return errors.New(s.Message)
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
