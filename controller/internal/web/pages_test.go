package web_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"kedge/proto"
)

func TestFleet(t *testing.T) {
	s := newSite(t)
	for i := range 5 {
		s.hosts = append(s.hosts, hostNamed(t, fmt.Sprintf("web%d", i)))
	}
	s.hosts[3].Status.Deployment = proto.DeploymentStatus{
		Phase: proto.PhaseRolledBack, Verdict: proto.VerdictRolledBack, Reason: "units-failed", Message: "<script>alert(1)</script>", Since: now,
	}
	s.rollout.Rollout = proto.RolloutView{ID: "main-7", Channel: "main", State: proto.RolloutHalted, Since: now, Why: "1 failed"}
	cookies := s.signIn(t)
	s.asked = nil

	w := s.get("/", cookies)
	requirePage(t, w, http.StatusOK, `href="/hosts/web0"`, `href="/hosts/web4"`, "All hosts (5)", "With a note (1)",
		`<span class="bad">rolled-back</span>`, `<span class="good">succeeded</span>`, "units-failed: &lt;script&gt;", `href="/rollouts/main-7"`, "halted for 0s", `hx-trigger="every 5s"`)
	if strings.Contains(w.Body.String(), "<script>alert") {
		t.Error("what a host says is in the page as it is")
	}
	if want := []string{"version", "", "web2", "web4"}; !slices.Equal(s.asked, want) {
		t.Errorf("the API was asked for the pages %q, want %q", s.asked, want)
	}
	noted := s.get("/?only=noted", cookies)
	requirePage(t, noted, http.StatusOK, `href="/hosts/web3"`)
	if strings.Contains(noted.Body.String(), `href="/hosts/web2"`) {
		t.Error("a host without a note is in the view of those that have one")
	}

	s.rollout.Rollout.State = proto.RolloutDone
	if done := s.get("/", cookies); strings.Contains(done.Body.String(), "main-7") {
		t.Error("a rollout that is done is shown as one under way")
	}
}

func TestFleetHasPages(t *testing.T) {
	s := newSite(t)
	for i := range 450 {
		s.hosts = append(s.hosts, hostNamed(t, fmt.Sprintf("h%03d", i)))
	}
	cookies := s.signIn(t)
	for query, want := range map[string]struct{ first, last, links string }{
		"":                        {"h000", "h199", "next"},
		"?page=1":                 {"h200", "h399", "prev next"},
		"?page=2":                 {"h400", "h449", "prev"},
		"?page=3":                 {"h000", "h199", "next"},
		"?page=-1":                {"h000", "h199", "next"},
		"?page=50000000000000000": {"h000", "h199", "next"},
		"?page=x&only=<>":         {"h000", "h199", "next"},
	} {
		page := s.get("/"+query, cookies).Body.String()
		for _, h := range []string{want.first, want.last} {
			if !strings.Contains(page, `href="/hosts/`+h+`"`) {
				t.Errorf("%q: %s is not there", query, h)
			}
		}
		for _, rel := range []string{"prev", "next"} {
			if got := strings.Contains(page, `rel="`+rel+`"`); got != strings.Contains(want.links, rel) {
				t.Errorf("%q: a link to the %s page: %t", query, rel, got)
			}
		}
		if got := strings.Count(page, `href="/hosts/`); got > 200 {
			t.Errorf("%q: %d hosts", query, got)
		}
	}
}

func TestHost(t *testing.T) {
	s := newSite(t)
	v := hostNamed(t, "web1")
	v.Status.Deployment.Failed = []proto.FailedUnit{{Name: "app.service", Log: []string{"no such <file>"}}}
	v.Status.Deployment.Checks = []proto.CheckResult{{Name: "site", Required: true, Message: "status 500"}}
	v.Status.Conditions = []proto.Condition{{Type: proto.ConditionDrifted, Status: proto.StatusTrue, Reason: "by-hand", Since: now}}
	v.Problem = &proto.Problem{Reason: "build-failed", Message: "error: attribute\nmissing", Time: now}
	v.Changes = &proto.Changes{Upgraded: 1, Packages: []proto.PackageChange{{Name: "nginx", Kind: proto.ChangeUpgraded, From: []string{"1.0"}, To: []string{"1.1"}}}}
	v.Waits = &proto.RolloutWait{For: "soak", Message: "the canary soaks"}
	s.hosts = []proto.HostView{v}
	cookies := s.signIn(t)
	w := s.get("/hosts/web1", cookies)
	requirePage(t, w, http.StatusOK, "<h1>web1</h1>", "app.service", "no such &lt;file&gt;", "failed, required", "status 500",
		`<span class="bad">True</span>`, "by-hand", "error: attribute\nmissing", "1 upgraded", "nginx", "1.0 → 1.1", "the canary soaks")
	if page := w.Body.String(); strings.Index(page, "the newer") > strings.Index(page, "the older") {
		t.Error("the newest event is not the first")
	}
	s.hosts[0].Status, s.hosts[0].Problem, s.hosts[0].Changes, s.hosts[0].Waits = nil, nil, nil, nil
	requirePage(t, s.get("/hosts/web1", cookies), http.StatusOK, "nothing was ever published")
	requirePage(t, s.get("/hosts/db1", cookies), http.StatusNotFound, "no host db1", "Back to the fleet")
	requirePage(t, s.get("/hosts/A..", cookies), http.StatusBadRequest, "invalid host name")
}

func TestRollouts(t *testing.T) {
	s := newSite(t)
	host := hostNamed(t, "web1").Host
	s.rollout = proto.RolloutShowReply{
		Rollout: proto.RolloutView{
			ID: "main-7", Channel: "main", State: proto.RolloutPaused, By: "ann", Why: "lunch", Since: now, Created: now,
			Waves: []proto.RolloutWave{{Name: "canary", Started: now, Hosts: 4, Succeeded: 3, Failed: 1}, {Name: "rest", Hosts: 9, Waiting: 9}},
		},
		Hosts: []proto.RolloutHost{{Host: host, Wave: "rest", State: proto.RolloutHostWaiting, Since: now, Waits: &proto.RolloutWait{For: "paused"}}},
	}
	cookies := s.signIn(t)
	requirePage(t, s.get("/rollouts", cookies), http.StatusOK, `href="/rollouts/main-7"`, "canary (1/2)", "3 of 13", "by ann: lunch",
		"Every channel is frozen for 0s by ann: the fair", `<span class="bad">paused</span>`)
	requirePage(t, s.get("/rollouts/main-7", cookies), http.StatusOK, `<meter min="0" max="4" value="3"`, `<td class="bad">1</td>`, `href="/hosts/web1"`, "paused")
	requirePage(t, s.get("/rollouts/main-8", cookies), http.StatusNotFound, "no rollout main-8")
}

func TestBuild(t *testing.T) {
	s := newSite(t)
	long := strings.Repeat("an old line\n", 30_000)
	s.log = []proto.BuildLogReply{
		{Channel: "main", Text: long, Next: 1}, {Channel: "main", Text: "building <nginx>\n", Next: 2}, {Channel: "main", Next: 2},
	}
	rev, err := proto.ParseRevision(strings.Repeat("a", 40))
	if err != nil {
		t.Fatal(err)
	}
	for i := range s.log {
		s.log[i].Revision = rev
	}
	cookies := s.signIn(t)
	w := s.get("/builds/main", cookies)
	requirePage(t, w, http.StatusOK, "<pre>an old line\n", "building &lt;nginx&gt;", "It goes on.", "hx-get")
	if n := w.Body.Len(); n > 300<<10 {
		t.Errorf("the page has %d bytes", n)
	}
	if want := []string{"", rev.String(), rev.String()}; !slices.Equal(s.read, want) {
		t.Errorf("the log was read of the revisions %q, want %q", s.read, want)
	}
	s.log[2].Ended = true
	w = s.get("/builds/main", cookies)
	requirePage(t, w, http.StatusOK, "It has ended.")
	if strings.Contains(w.Body.String(), "hx-get") {
		t.Error("a page that will not change is asked for again")
	}
}

// TestPagesSayOfWhenTheyAre: one that cannot follow any more, as the controller is away, looks like one on which
// nothing happens.
func TestPagesSayOfWhenTheyAre(t *testing.T) {
	s := newSite(t)
	s.hosts = []proto.HostView{hostNamed(t, "web1")}
	s.rollout.Rollout.ID = "main-7"
	s.log = []proto.BuildLogReply{{Channel: "main"}}
	cookies := s.signIn(t)
	for _, target := range []string{"/", "/hosts/web1", "/rollouts", "/rollouts/main-7", "/builds/main"} {
		requirePage(t, s.get(target, cookies), http.StatusOK, "As of 12:00:00 UTC")
	}
}

func TestTheFleetSaysThatABranchWasPushedOver(t *testing.T) {
	s := newSite(t)
	old, err := proto.ParseRevision(strings.Repeat("b", 40))
	if err != nil {
		t.Fatal(err)
	}
	s.sources = []proto.SourceStatus{{Channel: "main", PushedOver: &proto.ForcePush{Over: old}}}
	cookies := s.signIn(t)
	requirePage(t, s.get("/", cookies), http.StatusOK, "pushed over, and does not follow from <code>"+old.Short())
	s.sources[0].Revision = old // there was another push
	if page := s.get("/", cookies).Body.String(); strings.Contains(page, "pushed over") {
		t.Error("it is told after the next push, too")
	}
}

// TestTheFleetIsReadOnceForAll, however many look, and not while nothing happens.
func TestTheFleetIsReadOnceForAll(t *testing.T) {
	s := newSite(t)
	s.hosts = []proto.HostView{hostNamed(t, "web1")}
	cookies := s.signIn(t)
	looks := func(when string, want ...string) {
		t.Helper()
		s.asked = nil
		if s.get("/", cookies); !slices.Equal(s.asked, want) {
			t.Errorf("%s: the API was asked %q, want %q", when, s.asked, want)
		}
	}
	looks("the first", "version", "")
	s.time = s.time.Add(time.Minute)
	looks("when nothing has happened", "version")
	s.version++
	looks("when something has", "version", "")
	s.version++
	s.time = s.time.Add(2 * time.Second)
	looks("another one, soon after", "version")
	s.time = s.time.Add(time.Second)
	looks("after that", "version", "")
	s.revoked = true
	if w := s.get("/", cookies); w.Code == http.StatusOK {
		t.Error("who may not see the fleet any more sees what was read for others")
	}
}

func TestARolloutHasPages(t *testing.T) {
	s := newSite(t)
	s.rollout.Rollout.ID = "main-7"
	for i := range 450 {
		s.rollout.Hosts = append(s.rollout.Hosts, proto.RolloutHost{Host: hostNamed(t, fmt.Sprintf("h%03d", i)).Host})
	}
	cookies := s.signIn(t)
	for query, want := range map[string]struct {
		first, last, next string
		later             bool
	}{
		"":            {"h000", "h199", "h199", false},
		"?after=h199": {"h200", "h399", "h399", true},
		"?after=h399": {"h400", "h449", "", true},
	} {
		page := s.get("/rollouts/main-7"+query, cookies).Body.String()
		for _, h := range []string{want.first, want.last} {
			if !strings.Contains(page, `href="/hosts/`+h+`"`) {
				t.Errorf("%q: %s is not there", query, h)
			}
		}
		if got := strings.Count(page, `href="/hosts/`); got > 200 {
			t.Errorf("%q: %d hosts", query, got)
		}
		if got := strings.Contains(page, `rel="next" href="/rollouts/main-7?after=`+want.next+`"`); got != (want.next != "") {
			t.Errorf("%q: a link to the next page: %t", query, got)
		}
		if got := strings.Contains(page, `rel="first" href="/rollouts/main-7"`); got != want.later {
			t.Errorf("%q: a link to the first page: %t", query, got)
		}
	}
}
