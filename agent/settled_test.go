package agent

import (
	"strings"
	"testing"

	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/proto"
)

func TestSettled(t *testing.T) {
	var a, b, special proto.StorePath
	for text, p := range map[string]*proto.StorePath{
		"/nix/store/00000000000000000000000000000000-a": &a, "/nix/store/11111111111111111111111111111111-b": &b,
		"/nix/store/22222222222222222222222222222222-a": &special,
	} {
		var err error
		if *p, err = proto.ParseStorePath(text); err != nil {
			t.Fatal(err)
		}
	}
	for name, change := range map[string]func(o *Observation, d *Decision, hooked *bool){
		"it runs": func(*Observation, *Decision, *bool) {},
		"it runs in a specialisation": func(o *Observation, _ *Decision, _ *bool) {
			o.Systems.Current, o.Systems.Specialisation = special, "docked"
		},
		"the hooks have not ended":  func(_ *Observation, _ *Decision, hooked *bool) { *hooked = false },
		"another deployment begins": func(_ *Observation, d *Decision, _ *bool) { d.Action = ActionDeploy },
		"the agent is suspended":    func(o *Observation, _ *Decision, _ *bool) { o.Suspended = &statefile.Suspension{} },
		"it ended badly, and was then adopted": func(o *Observation, _ *Decision, _ *bool) {
			o.Record.Phase = proto.PhaseRolledBack
		},
		"another one is proven":     func(o *Observation, _ *Decision, _ *bool) { o.Proven.Toplevel = b },
		"another one runs":          func(o *Observation, _ *Decision, _ *bool) { o.Systems.Current = b },
		"another one is registered": func(o *Observation, _ *Decision, _ *bool) { o.Systems.Profile = b },
	} {
		o := Observation{
			Record:  deployment.Deployment{ID: "7-x", Toplevel: a, Phase: proto.PhaseCommitted},
			Proven:  deployment.Proven{Toplevel: a},
			Systems: proto.Systems{Current: a, Profile: a},
		}
		d, hooked := Decision{Action: ActionRest}, true
		change(&o, &d, &hooked)
		want := map[bool]string{true: "7-x"}[strings.HasPrefix(name, "it runs")]
		if got := o.settled(d, hooked); got.ID != want {
			t.Errorf("%s: got %q, want %q", name, got.ID, want)
		}
	}
}
