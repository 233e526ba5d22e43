package agent

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strings"

	"kedge/agent/internal/closure"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/profile"
	"kedge/proto"
)

func (c ActivationConfig) validateSpecialisation(p *problems) {
	name := c.Specialisation
	p.check(name == "" || !strings.Contains(name, "/") && name != "." && name != "..",
		"activation.specialisation: must be the name of one, got %q", name)
}

// specialisation returns the one of toplevel, which is present, that its own
// configuration names. The error is a [*closure.Rejection].
func (c judged) specialisation(s profile.System, toplevel proto.StorePath) (deployment.Specialisation, error) {
	name := c.Activation.Specialisation
	if name == "" {
		return deployment.Specialisation{}, nil
	}
	system, err := s.Specialisation(toplevel, name)
	if err != nil {
		return deployment.Specialisation{}, &closure.Rejection{
			Reason: proto.ReasonNoSpecialisation,
			Err:    fmt.Errorf("its configuration has it run in one that it has not: %w", err),
		}
	}
	return deployment.Specialisation{Name: name, System: system}, nil
}

// Configured implements [Systems].
func (s hostSystems) Configured(toplevel proto.StorePath) (deployment.Specialisation, error) {
	c, err := readJudged(configOf(s.System, toplevel))
	if err != nil {
		return deployment.Specialisation{}, err
	}
	return c.specialisation(s.System, toplevel)
}

// A shallRun is what the configuration of one system was found to name.
type shallRun struct {
	toplevel       proto.StorePath
	specialisation deployment.Specialisation
}

// observeSpecialisation adds what is known of the specialisation that o's host
// shall run in. Where that cannot be read, it is the one that was judged.
func (a *Agent) observeSpecialisation(ctx context.Context, o *Observation) {
	if o.Proven.Toplevel.IsZero() {
		return
	}
	var err error
	if a.shall.toplevel != o.Proven.Toplevel {
		next := shallRun{toplevel: o.Proven.Toplevel}
		if next.specialisation, err = a.Systems.Configured(next.toplevel); err == nil {
			a.shall = next
		}
	}
	a.tell(ctx, slog.LevelWarn, "the specialisation that the host shall run in cannot be read", err)
	o.Shall = o.Proven.Specialisation
	if err == nil {
		o.Shall = a.shall.specialisation
	}
	if a.look().shall != o.Shall {
		a.change(func(v *view) { v.shall = o.Shall })
	}
	if !a.specialised {
		a.specialised, err = a.Files.Specialised(o.BootID)
		if err == nil && !a.specialised && !o.astray() && !o.Proven.Specialisation.System.IsZero() {
			err = a.Files.NoteSpecialised(o.BootID)
			a.specialised = err == nil
		}
		a.tell(ctx, slog.LevelWarn, "it is not known whether the host ran in its specialisation since it was booted", err)
	}
	o.Specialised = a.specialised
}

// astray reports whether something else runs, or is registered, than what was
// proven, or it runs in another specialisation than it was judged in.
func (o Observation) astray() bool {
	return drifted(o.Systems, o.Proven) || o.Systems.Current != o.Proven.System()
}

// unjudged reports whether the host runs what was proven, and was never judged in
// the specialisation that it shall run in: somebody else made it run.
func (o Observation) unjudged() bool {
	return o.Proven.Specialisation != o.Shall && o.Systems.Current != o.Shall.Of(o.Proven.Toplevel)
}

// chosen reports whether somebody chose what of the proven system runs. A boot
// leads to the base system, and is nobody's choice.
func (o Observation) chosen() bool {
	s := o.Systems
	return o.Specialised || s.Current != s.Booted || s.Current != o.Proven.Toplevel
}

// decideSpecialisation is for a host that runs what was proven in another
// specialisation than it was judged in. It rests where nothing is to be done about
// that, or not yet.
func decideSpecialisation(o Observation) Decision {
	rest := Decision{Action: ActionRest}
	s, p := o.Systems, o.Proven
	if drifted(s, p) || s.Current == p.System() || p.Specialisation != o.Shall || o.lostTheWay() {
		return rest
	}
	message := specialisations(s, p.Specialisation)
	switch {
	case o.chosen() && o.Drift.Policy == DriftRestore:
		return bringBack(o, message, proto.ReasonOtherChosen, proto.ReasonSpecialised)
	case o.chosen() || o.Drift.Switching:
		return rest
	}
	if r := o.Record; r.Origin == deployment.OriginDrift && r.Phase == proto.PhaseFailed && r.Toplevel == p.Toplevel {
		if d := decideAgain(o); d.Action == ActionRest {
			return d
		}
	}
	return Decision{Action: ActionRestore, Reason: proto.ReasonSpecialised, Message: message + ": the host was booted"}
}

// specialisations says in which specialisation a host runs, and in which it shall.
func specialisations(s proto.Systems, shall deployment.Specialisation) string {
	return fmt.Sprintf("runs %s, and shall run %s", called(s.Specialisation), called(shall.Name))
}

func called(name string) string { return cmp.Or(name, "no specialisation") }

// running returns the specialisation that runs, of what is registered.
func running(s proto.Systems) deployment.Specialisation {
	if s.Specialisation == "" {
		return deployment.Specialisation{}
	}
	return deployment.Specialisation{Name: s.Specialisation, System: s.Current}
}

// back returns what of the proven system a deployment goes back to: what runs,
// unless that is only so since a boot.
func (o Observation) back() deployment.Specialisation {
	if drifted(o.Systems, o.Proven) || !o.chosen() {
		return o.Proven.Specialisation
	}
	return running(o.Systems)
}

// specialised is the condition of that name.
func specialised(s proto.Systems, p deployment.Proven, shall deployment.Specialisation) proto.Condition {
	c := proto.Condition{Type: proto.ConditionSpecialised, Status: proto.StatusUnknown}
	switch {
	case p.Toplevel.IsZero() || drifted(s, p):
	case s.Current == shall.Of(p.Toplevel):
		c.Status, c.Message = proto.StatusTrue, s.Specialisation
	case p.Specialisation != shall:
		c.Status, c.Reason = proto.StatusFalse, proto.ReasonNotProven
		c.Message = specialisations(s, shall) + ", in which it was not judged yet"
	default:
		c.Status, c.Reason = proto.StatusFalse, proto.ReasonOtherChosen
		c.Message = specialisations(s, shall) + ": until the next deployment or boot; `kedge-agent rollback` brings it back"
	}
	return c
}
