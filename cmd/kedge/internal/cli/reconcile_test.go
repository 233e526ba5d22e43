package cli

import (
	"strings"
	"testing"
	"time"

	"kedge/proto"
)

// TestJudgeRevision is about one host, which runs what it was published for the
// newest revision or another one.
func TestJudgeRevision(t *testing.T) {
	before := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	after := before.Add(time.Second)
	newest, err := proto.ParseRevision(strings.Repeat("a", 40))
	if err != nil {
		t.Fatal(err)
	}
	older, err := proto.ParseRevision(strings.Repeat("b", 40))
	if err != nil {
		t.Fatal(err)
	}
	web1, err := proto.ParseHostName("web1")
	if err != nil {
		t.Fatal(err)
	}
	good := proto.HostView{
		Host: web1, Want: proto.Target{Serial: 1, Revision: newest},
		Status: &proto.Status{Host: web1, Serial: 1, Deployment: proto.DeploymentStatus{
			Serial: 1, Phase: proto.PhaseCommitted, Verdict: proto.VerdictSucceeded,
		}},
	}
	problem := func(reason proto.Reason, at time.Time) proto.HostView {
		v := good
		v.Problem = &proto.Problem{Reason: reason, Revision: newest, Time: at}
		return v
	}
	tests := map[string]struct {
		checked time.Time
		built   proto.Revision
		err     string
		host    proto.HostView
		want    outcome // empty: none yet
		fails   bool
	}{
		"a look that began before does not count":       {before, newest, "", good, "", false},
		"a revision that is not built is waited for":    {after, older, "", good, "", false},
		"what was built is judged":                      {after, newest, "", good, outcomeGood, false},
		"a repository that cannot be read is no news":   {after, newest, "connection refused", good, "", true},
		"a revision that does not evaluate is an error": {after, older, "evaluate: syntax error", good, "", true},
		"a host that was not built ends badly":          {after, newest, "not published for web1", problem(proto.ReasonBuildFailed, after), outcomeBad, false},
		"an old problem is being tried again":           {after, newest, "", problem(proto.ReasonBuildFailed, before), outcomeWaiting, false},
		"a publication that is tried again is no end":   {after, newest, "", problem(proto.ReasonRetrying, after), outcomeWaiting, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			verdicts, done, err := judgeRevision(before, nil)(proto.FleetReply{
				Hosts: []proto.HostView{tt.host}, Revision: tt.built,
				Source: proto.SourceStatus{Revision: newest, Checked: tt.checked, Error: tt.err},
			})
			var got outcome
			if len(verdicts) > 0 {
				got = verdicts[0].outcome
			}
			ended := tt.want == outcomeGood || tt.want == outcomeBad
			if got != tt.want || done != ended || (err != nil) != tt.fails {
				t.Errorf("got %q, done %t, error %v; want %q, %t, an error: %t", got, done, err, tt.want, ended, tt.fails)
			}
		})
	}
}
