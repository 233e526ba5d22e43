package rollout_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/controller/internal/rollout"
	"kedge/proto"
)

// TestNextKeepsBeforeItHalts: what was published before a crash is known before
// anything is decided, also while nothing goes out; or nobody would take it back.
func TestNextKeepsBeforeItHalts(t *testing.T) {
	db1, web1 := host(t, "db1"), host(t, "web1")
	r := three(t)
	r = applied(t, r, rollout.Action{Kind: rollout.StartWave, Hosts: []proto.HostName{db1, web1}}, 0)
	r = applied(t, r, rollout.Action{Kind: rollout.Publish, Host: web1}, 7)
	halted := applied(t, r, rollout.Action{Kind: rollout.Halt}, 0)
	seen := rollout.Fleet{Hosts: map[proto.HostName]rollout.Host{
		db1:  {Toplevel: system(t, db1, "new"), Serial: 8, Seen: start},
		web1: {Toplevel: system(t, web1, "new"), Serial: 7, Reported: 7, Verdict: proto.VerdictFailed, Seen: start},
	}}
	want := []rollout.Action{
		{Kind: rollout.Keep, Host: db1, Serial: 8},
		{Kind: rollout.Settle, Host: web1, Verdict: proto.VerdictFailed},
	}
	for _, r := range []rollout.Rollout{r, halted} {
		got := rollout.Next(r, seen, start)
		if diff := cmp.Diff(want, got, comparers); diff != "" {
			t.Errorf("while it is %s (-want +got):\n%s", r.State, diff)
		}
		for _, a := range got {
			r = applied(t, r, a, 0)
		}
	}
}

// TestWhoWasOfflineIsNotCharged: a controller that has just started takes every host for
// online; who had not been heard of for long before it was published to was not.
func TestWhoWasOfflineIsNotCharged(t *testing.T) {
	web1 := host(t, "web1")
	for name, tt := range map[string]struct {
		silentAfter time.Duration
		host        rollout.Host
		want        rollout.HostState
	}{
		"offline for an hour":             {15 * time.Minute, rollout.Host{Serial: 7, Seen: start.Add(-time.Hour)}, rollout.Offline},
		"heard of a minute before":        {15 * time.Minute, rollout.Host{Serial: 7, Seen: start.Add(-time.Minute)}, rollout.Silent},
		"between two heartbeats":          {10 * time.Second, rollout.Host{Serial: 7, Seen: start.Add(-time.Minute)}, rollout.Silent},
		"not heard of since it was begun": {15 * time.Minute, rollout.Host{Serial: 7, Reported: 7, Verdict: proto.VerdictPending, Seen: start.Add(-time.Hour)}, rollout.Silent},
	} {
		r := three(t)
		r.SilentAfter = tt.silentAfter
		r = applied(t, r, rollout.Action{Kind: rollout.StartWave, Hosts: []proto.HostName{web1}}, 0)
		r = applied(t, r, rollout.Action{Kind: rollout.Publish, Host: web1}, 7)
		f := rollout.Fleet{Hosts: map[proto.HostName]rollout.Host{web1: tt.host}}
		for _, a := range rollout.Next(r, f, start.Add(r.SilentAfter)) {
			r = applied(t, r, a, 0)
		}
		if got := r.Hosts[web1].State; got != tt.want {
			t.Errorf("%s: it is %s, want %s", name, got, tt.want)
		}
	}
}

// TestWhoWasThereIsNotOfflineBecauseTheServerForgot: whoever published to it knew.
func TestWhoWasThereIsNotOfflineBecauseTheServerForgot(t *testing.T) {
	web1 := host(t, "web1")
	for name, tt := range map[string]struct {
		heard bool
		since time.Time
		want  rollout.HostState
	}{
		"published to before":          {true, start.Add(time.Minute), rollout.Silent},
		"published to since":           {true, start.Add(-time.Minute), rollout.Offline},
		"not heard when it was begun":  {false, start.Add(time.Minute), rollout.Offline},
		"nor since it was listened to": {false, start.Add(-time.Minute), rollout.Offline},
	} {
		r := three(t)
		r.SilentAfter = 15 * time.Minute
		p := r.Hosts[web1]
		p.Heard = tt.heard
		r.Hosts[web1] = p
		r = applied(t, r, rollout.Action{Kind: rollout.StartWave, Hosts: []proto.HostName{web1}}, 0)
		r = applied(t, r, rollout.Action{Kind: rollout.Publish, Host: web1}, 7)
		f := rollout.Fleet{Hosts: map[proto.HostName]rollout.Host{web1: {Serial: 7, Silent: true}}, Since: tt.since}
		for _, a := range rollout.Next(r, f, start.Add(20*time.Minute)) {
			r = applied(t, r, a, 0)
		}
		if got := r.Hosts[web1].State; got != tt.want {
			t.Errorf("%s: it is %s, want %s", name, got, tt.want)
		}
	}
}
