package rollout_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kedge/controller/internal/rollout"
	"kedge/proto"
)

func TestApplyRefusesWhatNextDidNotAskFor(t *testing.T) {
	fresh := newRollout(t)
	started := mustApply(t, fresh, rollout.Action{Kind: rollout.StartWave}, 0)
	web1 := host(t, "web1")
	published := mustApply(t, started, rollout.Action{Kind: rollout.Publish, Host: web1}, 7)
	for name, c := range map[string]struct {
		rollout rollout.Rollout
		action  rollout.Action
		serial  proto.Serial
	}{
		"publishing in a wave that was not started": {fresh, rollout.Action{Kind: rollout.Publish, Host: web1}, 7},
		"publishing without a serial":               {started, rollout.Action{Kind: rollout.Publish, Host: web1}, 0},
		"publishing twice":                          {published, rollout.Action{Kind: rollout.Publish, Host: web1}, 8},
		"publishing to a stranger":                  {started, rollout.Action{Kind: rollout.Publish, Host: host(t, "stranger")}, 7},
		"an action of another wave":                 {started, rollout.Action{Kind: rollout.EndWave, Wave: 1}, 0},
		"starting a wave twice":                     {started, rollout.Action{Kind: rollout.StartWave}, 0},
		"ending a wave that was not started":        {fresh, rollout.Action{Kind: rollout.EndWave}, 0},
		"finishing before the last wave ended":      {started, rollout.Action{Kind: rollout.Finish}, 0},
		"settling a host that waits":                {started, rollout.Action{Kind: rollout.Settle, Host: web1, Verdict: proto.VerdictSucceeded}, 0},
		"settling without a final verdict":          {published, rollout.Action{Kind: rollout.Settle, Host: web1, Verdict: proto.VerdictPending}, 0},
		"anything for a rollout that is done":       {finished(t), rollout.Action{Kind: rollout.Finish, Wave: 1}, 0},
		"an action of an unknown kind":              {started, rollout.Action{Kind: "dance"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := c.rollout.Apply([]rollout.Result{{Action: c.action, Serial: c.serial}}, start); err == nil {
				t.Error("it was accepted")
			} else if !strings.Contains(err.Error(), string(c.action.Kind)) {
				t.Errorf("error %q does not name the action", err)
			}
		})
	}
}

func TestApplyIsAllOrNothing(t *testing.T) {
	fresh := newRollout(t)
	publish := rollout.Result{Action: rollout.Action{Kind: rollout.Publish, Host: host(t, "web1")}, Serial: 7}
	all := []rollout.Result{{Action: rollout.Action{Kind: rollout.StartWave}}, publish}
	got, err := fresh.Apply(all, start)
	if err != nil {
		t.Fatal(err)
	}
	one := mustApply(t, mustApply(t, fresh, all[0].Action, 0), publish.Action, 7)
	if diff := cmp.Diff(one, got, comparers); diff != "" {
		t.Errorf("applied at once (-one by one +at once):\n%s", diff)
	}
	got, err = fresh.Apply(append(all, publish), start)
	if err == nil {
		t.Error("publishing twice was accepted")
	}
	if diff := cmp.Diff(newRollout(t), got, comparers); diff != "" {
		t.Errorf("after an error (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(newRollout(t), fresh, comparers); diff != "" {
		t.Errorf("the receiver was changed (-want +got):\n%s", diff)
	}
}

// finished returns a rollout of nobody that is done.
func finished(t *testing.T) rollout.Rollout {
	r := rollout.New("r", proto.Revision{}, start, nil)
	return mustApply(t, mustApply(t, mustApply(t, r, rollout.Action{Kind: rollout.StartWave}, 0),
		rollout.Action{Kind: rollout.EndWave}, 0), rollout.Action{Kind: rollout.Finish, Wave: 1}, 0)
}

func TestParseRefuses(t *testing.T) {
	const host = `"web1":{"toplevel":"/nix/store/00000000000000000000000000000000-a","state":"waiting","since":"2026-01-01T00:00:00Z"}`
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"no JSON":                    {`rollout`, proto.ErrMalformed},
		"no format":                  {`{}`, proto.ErrUnknownFormat},
		"a newer format":             {`{"format":2,"state":"running"}`, proto.ErrUnknownFormat},
		"an unknown state":           {`{"format":1,"state":"flying"}`, proto.ErrMalformed},
		"a wave that does not exist": {`{"format":1,"state":"running","wave":1}`, proto.ErrMalformed},
		"a negative wave":            {`{"format":1,"state":"running","wave":-1}`, proto.ErrMalformed},
		"a wave with a stranger":     {`{"format":1,"state":"running","waves":[{"name":"a","hosts":["web1"]}]}`, proto.ErrMalformed},
		"a host in an unknown state": {`{"format":1,"state":"running","hosts":{"web1":{"state":"lost"}}}`, proto.ErrMalformed},
		"a host with a bad name":     {`{"format":1,"state":"running","hosts":{"web.1":{"state":"waiting"}}}`, proto.ErrMalformed},
		"an unsorted wave":           {`{"format":1,"state":"running","waves":[{"name":"a","hosts":["web2","web1"]}],"hosts":{` + host + `}}`, proto.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := rollout.Parse([]byte(c.text)); !errors.Is(err, c.want) {
				t.Errorf("got error %v, want %v", err, c.want)
			}
		})
	}
}

// BenchmarkNext is what a controller of 10,000 hosts does at every report.
func BenchmarkNext(b *testing.B) {
	r, fleet := bigFleet(b)
	for b.Loop() {
		if got, want := len(rollout.Next(r, fleet, start)), len(fleet)+1; got != want {
			b.Fatalf("got %d actions, want %d", got, want)
		}
	}
}

// bigFleet returns a rollout to 10,000 hosts.
func bigFleet(b *testing.B) (rollout.Rollout, rollout.Fleet) {
	b.Helper()
	const hosts = 10_000
	var targets []rollout.Target
	fleet := rollout.Fleet{}
	for i := range hosts {
		h, err := proto.ParseHostName(fmt.Sprint("host", i))
		if err != nil {
			b.Fatal(err)
		}
		targets = append(targets, rollout.Target{Host: h})
		fleet[h] = rollout.Host{Serial: 1, Reported: 1, Verdict: proto.VerdictPending}
	}
	return rollout.New("r", proto.Revision{}, start, targets), fleet
}

func mustApply(t *testing.T, r rollout.Rollout, a rollout.Action, serial proto.Serial) rollout.Rollout {
	t.Helper()
	next, err := r.Apply([]rollout.Result{{Action: a, Serial: serial}}, start)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// BenchmarkApply publishes to every host of a fleet of 10,000.
func BenchmarkApply(b *testing.B) {
	r, fleet := bigFleet(b)
	for b.Loop() {
		var done []rollout.Result
		for _, a := range rollout.Next(r, fleet, start) {
			done = append(done, rollout.Result{Action: a, Serial: 7})
		}
		if _, err := r.Apply(done, start); err != nil {
			b.Fatal(err)
		}
	}
}
