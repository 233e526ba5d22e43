package cli

import (
	"slices"
	"strings"
	"testing"
	"time"

	"kedge/proto"
)

// before is when somebody asked, and after when what was asked for is done.
var (
	before = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	after  = before.Add(time.Second)
)

// committed returns a host that runs what was published for it.
func committed(t *testing.T, name string, rev proto.Revision) proto.HostView {
	t.Helper()
	host, err := proto.ParseHostName(name)
	if err != nil {
		t.Fatal(err)
	}
	return proto.HostView{
		Host: host, Channel: "main", Want: proto.Target{Serial: 1, Revision: rev},
		Status: &proto.Status{Host: host, Serial: 1, Deployment: proto.DeploymentStatus{
			Serial: 1, Phase: proto.PhaseCommitted, Verdict: proto.VerdictSucceeded,
		}},
	}
}

func revision(t *testing.T, digit string) proto.Revision {
	t.Helper()
	r, err := proto.ParseRevision(strings.Repeat(digit, 40))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestJudgeRevision is about one host, which runs what it was published for the
// newest revision or another one.
func TestJudgeRevision(t *testing.T) {
	newest, older := revision(t, "a"), revision(t, "b")
	good := committed(t, "web1", newest)
	problem := func(reason proto.Reason, at time.Time) proto.HostView {
		v := good
		v.Problem = &proto.Problem{Reason: reason, Revision: newest, Time: at}
		return v
	}
	waits := func(reason proto.Reason) proto.HostView {
		v := good
		v.Waits = &proto.RolloutWait{For: reason}
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
		"a host whose wave has not come is waited for":  {after, newest, "", waits(proto.ReasonEarlierWave), outcomeWaiting, false},
		"a host that a halted rollout did not come to":  {after, newest, "", waits(proto.ReasonHalted), outcomeBad, false},
		"a publication that is tried again is no end":   {after, newest, "", problem(proto.ReasonRetrying, after), outcomeWaiting, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			verdicts, done, err := judgeRevision(before, nil)(proto.FleetReply{
				Hosts:   []proto.HostView{tt.host},
				Sources: []proto.SourceStatus{{Channel: "main", Revision: newest, Built: tt.built, Checked: tt.checked, Error: tt.err}},
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

// TestJudgeRevisionOfHostsThatAreNotInIt: whoever names a host wants something to
// come of it.
func TestJudgeRevisionOfHostsThatAreNotInIt(t *testing.T) {
	newest := revision(t, "a")
	web1, db1 := committed(t, "web1", newest), committed(t, "db1", newest)
	dropped, enrolled := db1, proto.HostView{Host: db1.Host}
	dropped.Problem = &proto.Problem{Reason: proto.ReasonNotInRevision, Revision: newest, Time: before.Add(-time.Hour)}
	droppedNow := db1
	droppedNow.Problem = &proto.Problem{Reason: proto.ReasonNotInRevision, Revision: newest, Time: after}
	for name, tt := range map[string]struct {
		named   []proto.HostName
		db1     proto.HostView
		reason  proto.Reason // of an error of the source
		working bool
		want    []outcome
		waits   bool
		fails   bool
	}{
		"a host that was dropped, named":        {named: []proto.HostName{db1.Host}, db1: dropped, want: []outcome{outcomeBad}},
		"a host that was dropped, not named":    {db1: dropped, want: []outcome{outcomeGood}},
		"a host that was never in it, named":    {named: []proto.HostName{web1.Host, db1.Host}, db1: enrolled, want: []outcome{outcomeGood, outcomeBad}},
		"a host that was never in it":           {db1: enrolled, want: []outcome{outcomeGood}},
		"a host that is not known any more":     {named: []proto.HostName{{}}, db1: db1, want: []outcome{outcomeBad}},
		"a name that is none, beside one named": {named: []proto.HostName{web1.Host}, db1: db1, reason: proto.ReasonBadHostName, want: []outcome{outcomeGood}},
		"a revision that is worked on":          {db1: db1, working: true, want: []outcome{outcomeGood, outcomeGood}, waits: true},
		"the same, named":                       {named: []proto.HostName{web1.Host}, db1: db1, working: true, want: []outcome{outcomeGood}},
		"a name that is none":                   {db1: db1, reason: proto.ReasonBadHostName, fails: true},
		"another error beside a dropped host":   {named: []proto.HostName{web1.Host}, db1: droppedNow, reason: proto.ReasonSourceUnreachable, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			source := proto.SourceStatus{Channel: "main", Revision: newest, Built: newest, Checked: after, Working: tt.working, Reason: tt.reason}
			if tt.reason != "" {
				source.Error = "it is as the reason says"
			}
			verdicts, done, err := judgeRevision(before, tt.named)(proto.FleetReply{
				Hosts: []proto.HostView{web1, tt.db1}, Sources: []proto.SourceStatus{source},
			})
			var got []outcome
			for _, v := range verdicts {
				got = append(got, v.outcome)
			}
			if !slices.Equal(got, tt.want) || done == (tt.waits || tt.fails) || (err != nil) != tt.fails {
				t.Errorf("got %q, done %t, error %v; want %q, an error: %t", got, done, err, tt.want, tt.fails)
			}
		})
	}
}
