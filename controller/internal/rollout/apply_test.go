package rollout_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/controller/internal/rollout"
	"kedge/internal/spec"
	"kedge/proto"
)

// three returns a rollout to three hosts, one of which goes before the others.
func three(t *testing.T) rollout.Rollout {
	t.Helper()
	d := rollout.Draft{ID: "r1", Revision: revision(t, "1"), Created: start}
	for _, name := range []string{"web1", "db1", "web2"} {
		d.Targets = append(d.Targets, rollout.Target{Host: host(t, name), Toplevel: system(t, host(t, name), "new")})
	}
	d.Spec.Rollout.Waves = []spec.Wave{{Name: "one", Hosts: spec.All(), Canary: spec.Canary{Size: spec.Count(1)}}}
	return planned(t, d)
}

func applied(t *testing.T, r rollout.Rollout, a rollout.Action, serial proto.Serial) rollout.Rollout {
	t.Helper()
	next, err := r.Apply([]rollout.Result{{Action: a, Serial: serial}}, start)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func TestApplyRefusesWhatNextDidNotAskFor(t *testing.T) {
	web1, db1 := host(t, "web1"), host(t, "db1")
	begin := rollout.Action{Kind: rollout.StartWave, Hosts: []proto.HostName{db1, web1, host(t, "web2")}, Canary: []proto.HostName{web1}}
	fresh := three(t)
	started := applied(t, fresh, begin, 0)
	published := applied(t, started, rollout.Action{Kind: rollout.Publish, Host: web1}, 7)
	halted := applied(t, published, rollout.Action{Kind: rollout.Halt}, 0)
	for name, c := range map[string]struct {
		rollout rollout.Rollout
		action  rollout.Action
		serial  proto.Serial
	}{
		"publishing in a wave that was not started":   {fresh, rollout.Action{Kind: rollout.Publish, Host: web1}, 7},
		"publishing without a serial":                 {started, rollout.Action{Kind: rollout.Publish, Host: web1}, 0},
		"publishing twice":                            {published, rollout.Action{Kind: rollout.Publish, Host: web1}, 8},
		"publishing to a stranger":                    {started, rollout.Action{Kind: rollout.Publish, Host: host(t, "stranger")}, 7},
		"publishing before the canary is through":     {published, rollout.Action{Kind: rollout.Publish, Host: db1}, 8},
		"publishing while it is halted":               {halted, rollout.Action{Kind: rollout.Publish, Host: db1}, 8},
		"an action of another wave":                   {started, rollout.Action{Kind: rollout.EndWave, Wave: 1}, 0},
		"starting a wave twice":                       {started, begin, 0},
		"starting a wave with strangers":              {fresh, rollout.Action{Kind: rollout.StartWave, Hosts: []proto.HostName{host(t, "stranger")}}, 0},
		"starting a wave with a host twice":           {fresh, rollout.Action{Kind: rollout.StartWave, Hosts: []proto.HostName{db1, db1}}, 0},
		"starting a wave with another's canary":       {fresh, rollout.Action{Kind: rollout.StartWave, Hosts: []proto.HostName{db1}, Canary: []proto.HostName{web1}}, 0},
		"ending a wave that was not started":          {fresh, rollout.Action{Kind: rollout.EndWave}, 0},
		"ending a wave of which only the canary went": {published, rollout.Action{Kind: rollout.EndWave}, 0},
		"widening a wave that was not started":        {fresh, rollout.Action{Kind: rollout.Widen}, 0},
		"widening a wave twice":                       {applied(t, published, rollout.Action{Kind: rollout.Widen}, 0), rollout.Action{Kind: rollout.Widen}, 0},
		"finishing before the last wave ended":        {started, rollout.Action{Kind: rollout.Finish}, 0},
		"settling a host that waits":                  {started, rollout.Action{Kind: rollout.Settle, Host: web1, Verdict: proto.VerdictSucceeded}, 0},
		"renewing what waits":                         {started, rollout.Action{Kind: rollout.Renew, Host: web1, Serial: 8}, 0},
		"renewing under no higher serial":             {published, rollout.Action{Kind: rollout.Renew, Host: web1, Serial: 7}, 0},
		"settling a stranger":                         {started, rollout.Action{Kind: rollout.Settle, Host: host(t, "stranger"), Verdict: proto.VerdictSucceeded}, 0},
		"settling without a final verdict":            {published, rollout.Action{Kind: rollout.Settle, Host: web1, Verdict: proto.VerdictPending}, 0},
		"silence of a host that waits":                {started, rollout.Action{Kind: rollout.Silence, Host: web1}, 0},
		"silence of a host that came to a verdict": {
			applied(t, published, rollout.Action{Kind: rollout.Settle, Host: web1, Verdict: proto.VerdictSucceeded}, 0),
			rollout.Action{Kind: rollout.Silence, Host: web1},
			0,
		},
		"halting twice":                {halted, rollout.Action{Kind: rollout.Halt}, 0},
		"an action of an unknown kind": {started, rollout.Action{Kind: "dance"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.rollout.Apply([]rollout.Result{{Action: c.action, Serial: c.serial}}, start)
			if err == nil {
				t.Fatal("it was accepted")
			}
			if !strings.Contains(err.Error(), string(c.action.Kind)) {
				t.Errorf("error %q does not name the action", err)
			}
			if diff := cmp.Diff(c.rollout, got, comparers); diff != "" {
				t.Errorf("after an error (-before +after):\n%s", diff)
			}
		})
	}
}

func TestApplyIsAllOrNothing(t *testing.T) {
	web1 := host(t, "web1")
	all := []rollout.Result{
		{Action: rollout.Action{Kind: rollout.StartWave, Hosts: []proto.HostName{web1}}},
		{Action: rollout.Action{Kind: rollout.Publish, Host: web1}, Serial: 7},
	}
	fresh := three(t)
	got, err := fresh.Apply(all, start)
	if err != nil {
		t.Fatal(err)
	}
	one := applied(t, applied(t, fresh, all[0].Action, 0), all[1].Action, 7)
	if diff := cmp.Diff(one, got, comparers); diff != "" {
		t.Errorf("applied at once (-one by one +at once):\n%s", diff)
	}
	got, err = fresh.Apply(append(all, all[1]), start)
	if err == nil {
		t.Error("publishing twice was accepted")
	}
	if diff := cmp.Diff(three(t), got, comparers); diff != "" {
		t.Errorf("after an error (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(three(t), fresh, comparers); diff != "" {
		t.Errorf("the receiver was changed (-want +got):\n%s", diff)
	}
}

// TestPlanRefuses: what would make a rollout meaningless is refused before there is one.
func TestPlanRefuses(t *testing.T) {
	target := rollout.Target{Host: host(t, "web1"), Toplevel: system(t, host(t, "web1"), "new")}
	for name, d := range map[string]rollout.Draft{
		"no id":              {Targets: []rollout.Target{target}},
		"no toplevel":        {ID: "r", Targets: []rollout.Target{{Host: target.Host}}},
		"a negative soak":    {ID: "r", Targets: []rollout.Target{target}, Spec: spec.Spec{Rollout: spec.Rollout{Waves: []spec.Wave{{Name: "a", Hosts: spec.All(), Soak: -time.Second}}}}},
		"an unknown overrun": {ID: "r", Targets: []rollout.Target{target}, Spec: spec.Spec{Rollout: spec.Rollout{Windows: spec.Windows{Overrun: "hurry"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := rollout.Plan(d); err == nil {
				t.Error("no error")
			}
		})
	}
}

// TestLeft: whoever was held is left when it is done.
func TestLeft(t *testing.T) {
	r := three(t)
	if got := r.Left(); len(got) != 3 || got[0].Host != host(t, "db1") || got[2].Toplevel != system(t, host(t, "web2"), "new") {
		t.Errorf("of a new rollout %v are left, want everybody", got)
	}
	held := rollout.Fleet{Hosts: map[proto.HostName]rollout.Host{host(t, "db1"): {Held: "by alice"}}}
	for !r.State.Ended() {
		var done []rollout.Result
		for _, a := range rollout.Next(r, held, start) {
			done = append(done, rollout.Result{Action: a, Serial: 7})
		}
		next, err := r.Apply(done, start)
		if err != nil {
			t.Fatal(err)
		}
		r = next
	}
	if got := r.Left(); len(got) != 1 || got[0].Host != host(t, "db1") {
		t.Errorf("%v are left, want db1, which is held", got)
	}
}
