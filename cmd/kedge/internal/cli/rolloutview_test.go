package cli

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/proto"
)

var update = flag.Bool("update", false, "write the golden files anew")

// halted is a rollout that halted in its second wave, an hour after before.
func halted(t *testing.T) proto.RolloutView {
	t.Helper()
	return proto.RolloutView{
		ID: "aaaaaaa-1", Channel: "main", Revision: revision(t, "a"), State: proto.RolloutHalted,
		Why: "wave web: 1 failed, 0 may: web2\x1b[2J", Created: before, Since: before.Add(12 * time.Minute), Wave: 1,
		Waves: []proto.RolloutWave{
			{Name: "canary", Started: before, Ended: before.Add(10 * time.Minute), Hosts: 1, Succeeded: 1},
			{Name: "web", Started: before.Add(10 * time.Minute), Hosts: 4, Waiting: 1, Published: 1, Deferred: 1, Failed: 1},
			{Name: "rest", Hosts: 2, Waiting: 2},
		},
	}
}

func haltedHosts(t *testing.T) []proto.RolloutHost {
	t.Helper()
	wait := &proto.RolloutWait{For: proto.ReasonHalted, Message: "the rollout halted"}
	name := func(s string) proto.HostName { return committed(t, s, revision(t, "a")).Host }
	return []proto.RolloutHost{
		{Host: name("web1"), Wave: "canary", State: proto.RolloutHostSettled, Serial: 3, Verdict: proto.VerdictSucceeded, Since: before.Add(time.Minute)},
		{Host: name("web2"), Wave: "web", State: proto.RolloutHostSettled, Serial: 4, Verdict: proto.VerdictRolledBack, Since: before.Add(12 * time.Minute)},
		{Host: name("web3"), Wave: "web", State: proto.RolloutHostPublished, Serial: 4, Since: before.Add(10 * time.Minute)},
		{Host: name("web4"), Wave: "web", State: proto.RolloutHostWaiting, Since: before, Waits: wait, Changes: &proto.Changes{Upgraded: 2, Size: 3 << 20, Boot: []string{"kernel"}}},
		{Host: name("db1"), Wave: "rest", State: proto.RolloutHostWaiting, Since: before, Waits: &proto.RolloutWait{For: proto.ReasonHeld, Message: "held: being debugged"}},
		{Host: name("db2"), Wave: "rest", State: proto.RolloutHostWaiting, Since: before, Waits: &proto.RolloutWait{
			For: proto.ReasonOutsideWindow, Message: "outside its windows", Until: before.Add(3 * time.Hour),
		}},
		{Host: name("web5"), Wave: "web", State: proto.RolloutHostDeferred, Serial: 4, Since: before.Add(40 * time.Minute)},
	}
}

// What is drawn is compared with golden files: go test -update writes them.
func TestRolloutsAreDrawn(t *testing.T) {
	now := before.Add(time.Hour)
	view, hosts := halted(t), haltedHosts(t)
	done := view
	done.ID, done.State, done.Why, done.Since, done.Wave = "bbbbbbb-1", proto.RolloutDone, "", before.Add(20*time.Minute), 3
	done.Revision, done.Waves = revision(t, "b"), []proto.RolloutWave{{Name: "all", Hosts: 6, Succeeded: 6}}
	aborted := done
	aborted.ID, aborted.Channel, aborted.State, aborted.By, aborted.Why = "bbbbbbb-2", "testing", proto.RolloutAborted, "ada", "it is slow"
	holds := []proto.RolloutHold{
		{Reason: "holidays", By: "eva", Since: before},
		{Channel: "testing", Reason: "nobody is there", By: "eva", Since: before},
		{Host: hosts[4].Host, Reason: "being debugged", By: "ada", Since: before},
	}
	waiting := committed(t, "db1", revision(t, "b"))
	waiting.Waits, waiting.Status.Deployment.Since = hosts[4].Waits, before
	for name, draw := range map[string]func(io.Writer){
		"list": func(w io.Writer) {
			drawRollouts(w, []proto.RolloutView{view, aborted, done}, now)
			drawHolds(w, holds, now)
		},
		"show": func(w io.Writer) { drawRollout(w, proto.RolloutShowReply{Rollout: view, Hosts: hosts}, now) },
		"plan": func(w io.Writer) {
			drawPlan(w, proto.RolloutPlanReply{Rollout: view, Hosts: hosts[2:], Holds: holds[:1]}, now)
		},
		"done": func(w io.Writer) { drawPlan(w, proto.RolloutPlanReply{Rollout: done}, now) },
		"status": func(w io.Writer) {
			drawFleet(w, proto.FleetReply{Hosts: []proto.HostView{waiting}, Rollouts: []proto.RolloutView{view, done}}, now)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			draw(&b)
			file := filepath.Join("testdata", "rollout", name+".golden")
			if *update {
				if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Errorf("drawn (-golden +got):\n%s", diff)
			}
		})
	}
}
