package rollout_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/controller/internal/rollout"
	"kedge/internal/spec"
	"kedge/proto"
)

// TestRetryOfACanary: where a canary has another try, the others of its wave wait for it again.
func TestRetryOfACanary(t *testing.T) {
	web1 := host(t, "web1")
	r := three(t)
	for _, a := range []rollout.Action{
		{Kind: rollout.StartWave, Hosts: []proto.HostName{host(t, "db1"), web1}, Canary: []proto.HostName{web1}},
		{Kind: rollout.Publish, Host: web1},
		{Kind: rollout.Settle, Host: web1, Verdict: proto.VerdictSucceeded},
		{Kind: rollout.Widen},
		{Kind: rollout.Settle, Host: web1, Verdict: proto.VerdictFailed},
		{Kind: rollout.Halt},
	} {
		r = applied(t, r, a, 7)
	}
	r, err := r.Retry(rollout.Act{By: "alice", At: start})
	if err != nil {
		t.Fatal(err)
	}
	seen := rollout.Fleet{Hosts: map[proto.HostName]rollout.Host{web1: {Toplevel: system(t, web1, "new"), Serial: 7, Seen: start}}}
	got := rollout.Next(r, seen, start)
	if len(got) != 1 || got[0].Kind != rollout.Publish || got[0].Host != web1 {
		t.Errorf("after a retry Next answers %v, want web1 published to alone", got)
	}
}

// TestRetryOfWhatWasSignedAnew: what a host said of that before the retry is no answer to it,
// also if nobody had looked at it yet.
func TestRetryOfWhatWasSignedAnew(t *testing.T) {
	web1 := host(t, "web1")
	r := three(t)
	for _, a := range []rollout.Action{
		{Kind: rollout.StartWave, Hosts: []proto.HostName{web1}},
		{Kind: rollout.Publish, Host: web1},
		{Kind: rollout.Settle, Host: web1, Verdict: proto.VerdictFailed},
		{Kind: rollout.Halt},
	} {
		r = applied(t, r, a, 7)
	}
	seen := rollout.Fleet{Hosts: map[proto.HostName]rollout.Host{
		web1: {Toplevel: system(t, web1, "new"), Serial: 8, Reported: 8, Verdict: proto.VerdictFailed, Seen: start},
	}}
	r, err := r.Recall(seen, start).Retry(rollout.Act{By: "alice", At: start})
	if err != nil {
		t.Fatal(err)
	}
	if got := rollout.Next(r, seen, start); len(got) != 1 || got[0].Kind != rollout.Publish {
		t.Errorf("after a retry Next answers %v, want web1 published to", got)
	}
}

// TestActsAreRefused in every state in which they would mean nothing.
func TestActsAreRefused(t *testing.T) {
	a := rollout.Act{By: "alice", At: start, Why: "tests"}
	acts := map[string]func(rollout.Rollout) (rollout.Rollout, error){
		"pause":     func(r rollout.Rollout) (rollout.Rollout, error) { return r.Pause(a) },
		"resume":    func(r rollout.Rollout) (rollout.Rollout, error) { return r.Resume(a) },
		"promote":   func(r rollout.Rollout) (rollout.Rollout, error) { return r.Promote(rollout.Fleet{}, nil, a) },
		"abort":     func(r rollout.Rollout) (rollout.Rollout, error) { return r.Abort(a) },
		"retry":     func(r rollout.Rollout) (rollout.Rollout, error) { return r.Retry(a) },
		"revert":    func(r rollout.Rollout) (rollout.Rollout, error) { return r.Revert(a) },
		"reopen":    func(r rollout.Rollout) (rollout.Rollout, error) { return r.Reopen(a) },
		"supersede": func(r rollout.Rollout) (rollout.Rollout, error) { return r.Supersede(a) },
	}
	allowed := map[rollout.State]map[string]rollout.State{
		rollout.Running: {
			"pause": rollout.Paused, "abort": rollout.Aborted, "revert": rollout.Reverting, "supersede": rollout.Superseded,
		},
		rollout.Paused: {
			"resume": rollout.Running, "abort": rollout.Aborted, "revert": rollout.Reverting, "supersede": rollout.Superseded,
		},
		rollout.Halted: {
			"retry": rollout.Running, "abort": rollout.Aborted, "revert": rollout.Reverting, "supersede": rollout.Superseded,
		},
		rollout.Reverting:  {"abort": rollout.Aborted, "supersede": rollout.Superseded},
		rollout.Done:       {"revert": rollout.Reverting},
		rollout.Aborted:    {"revert": rollout.Reverting},
		rollout.Reverted:   {"reopen": rollout.Reverting},
		rollout.Superseded: {},
	}
	for state, may := range allowed {
		for name, act := range acts {
			r := three(t)
			r.State = state
			want, ok := may[name]
			if !ok {
				want = state
			}
			got, err := act(r)
			if got.State != want || (err == nil) != ok {
				t.Errorf("%s while it is %s: it is %s, %v; want %s", name, state, got.State, err, want)
			}
			if err != nil && !errors.Is(err, rollout.ErrState) && !errors.Is(err, rollout.ErrNoPause) {
				t.Errorf("%s while it is %s: nobody could tell why: %v", name, state, err)
			}
			if ok && got.Entered != a {
				t.Errorf("%s while it is %s: entered by %+v, want %+v", name, state, got.Entered, a)
			}
		}
	}
}

// TestPromoteSparesNoVerdict: it ends pauses, and waits for hosts all the same.
func TestPromoteSparesNoVerdict(t *testing.T) {
	web1 := host(t, "web1")
	r := three(t)
	r.Waves[0].CanarySoak = time.Hour
	r = applied(t, r, rollout.Action{Kind: rollout.StartWave, Hosts: []proto.HostName{web1}, Canary: []proto.HostName{web1}}, 0)
	r = applied(t, r, rollout.Action{Kind: rollout.Publish, Host: web1}, 7)
	if _, err := r.Promote(rollout.Fleet{}, nil, rollout.Act{At: start}); !errors.Is(err, rollout.ErrNoPause) {
		t.Errorf("while web1 is at work: %v, want %v", err, rollout.ErrNoPause)
	}
	r = applied(t, r, rollout.Action{Kind: rollout.Settle, Host: web1, Verdict: proto.VerdictSucceeded}, 0)
	r, err := r.Promote(rollout.Fleet{}, nil, rollout.Act{At: start})
	if err != nil || r.Waves[0].Widened.IsZero() {
		t.Errorf("while its canary soaks: %v, widened %s", err, r.Waves[0].Widened)
	}
}

// TestPromoteTwiceDoesItOnce: whoever asks for a promotion again, because the answer was
// lost, or somebody else asked for it at the same time, promotes nothing that comes after.
func TestPromoteTwiceDoesItOnce(t *testing.T) {
	web1 := host(t, "web1")
	r := three(t)
	r.Waves[0].Canary, r.Waves[0].CanarySize, r.Waves[0].Soak = nil, spec.Amount{}, time.Hour
	r.Waves = append(r.Waves[:1], rollout.Wave{Name: "two", Hosts: []proto.HostName{host(t, "db1")}, Approval: true})
	r = applied(t, r, rollout.Action{Kind: rollout.StartWave, Hosts: []proto.HostName{web1}}, 0)
	r = applied(t, r, rollout.Action{Kind: rollout.Publish, Host: web1}, 7)
	if got := r.Promotion(rollout.Fleet{}, start); got != (proto.RolloutPromotion{}) {
		t.Errorf("while web1 is at work there is %+v to promote, want nothing", got)
	}
	early := r.Promotion(rollout.Fleet{}, start)
	r = applied(t, r, rollout.Action{Kind: rollout.Settle, Host: web1, Verdict: proto.VerdictSucceeded}, 0)
	if _, err := r.Promote(rollout.Fleet{}, &early, rollout.Act{At: start}); !errors.Is(err, rollout.ErrOther) {
		t.Errorf("of nothing, once wave one soaks: %v, want %v", err, rollout.ErrOther)
	}
	soak := r.Promotion(rollout.Fleet{}, start)
	if want := (proto.RolloutPromotion{Ends: proto.RolloutPauseSoak}); soak != want {
		t.Fatalf("while wave one soaks there is %+v to promote, want %+v", soak, want)
	}
	r, err := r.Promote(rollout.Fleet{}, &soak, rollout.Act{By: "ada", At: start})
	if err != nil || r.Wave != 1 {
		t.Fatalf("the first: %v, in wave %d, want the second one", err, r.Wave)
	}
	r, err = r.Promote(rollout.Fleet{}, &soak, rollout.Act{By: "eva", At: start})
	if !errors.Is(err, rollout.ErrOther) || !strings.Contains(err.Error(), "the approval of wave two") {
		t.Errorf("the second: %v, want that wave two waits for an approval by now", err)
	}
	if by := r.Waves[1].Approved.By; by != "" {
		t.Errorf("wave two is approved by %s, who asked for the end of a soak", by)
	}
	approval := proto.RolloutPromotion{Wave: 1, Ends: proto.RolloutPauseApproval}
	if r, err = r.Promote(rollout.Fleet{}, &approval, rollout.Act{By: "eva", At: start}); err != nil || r.Waves[1].Approved.By != "eva" {
		t.Errorf("of the approval: %v, approved by %q", err, r.Waves[1].Approved.By)
	}
}

// TestRevertNamesTheRelease that a host had, as somebody may have signed it who is not
// at hand.
func TestRevertNamesTheRelease(t *testing.T) {
	web1 := host(t, "web1")
	release, err := proto.ParseDigest("sha256:" + strings.Repeat("0", 64))
	if err != nil {
		t.Fatal(err)
	}
	fleet := rollout.Fleet{Hosts: map[proto.HostName]rollout.Host{
		web1: {Toplevel: system(t, web1, "old"), Release: release, Serial: 3, Reported: 3, Verdict: proto.VerdictSucceeded, Seen: start},
	}}
	r := planned(t, rollout.Draft{ID: "r", Created: start, Fleet: fleet, Targets: []rollout.Target{{Host: web1, Toplevel: system(t, web1, "new")}}})
	r = applied(t, r, rollout.Next(r, fleet, start)[0], 0)
	r = applied(t, r, rollout.Next(r, fleet, start)[0], 4)
	if r, err = r.Revert(rollout.Act{By: "alice", At: start}); err != nil {
		t.Fatal(err)
	}
	fleet.Hosts[web1] = rollout.Host{Toplevel: system(t, web1, "new"), Serial: 4, Seen: start}
	r = applied(t, r, rollout.Next(r, fleet, start)[0], 0)
	want := []rollout.Action{{
		Kind: rollout.Publish, Wave: 1, Host: web1, Toplevel: system(t, web1, "old"), Release: release,
	}}
	if diff := cmp.Diff(want, rollout.Next(r, fleet, start), comparers); diff != "" {
		t.Errorf("on the way back (-want +got):\n%s", diff)
	}
}
