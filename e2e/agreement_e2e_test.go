//go:build e2e

package e2e_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kedge/e2e/fleet"
	"kedge/proto"
)

// A said is what somebody says of a host at rest.
type said struct {
	Current, Booted, Profile, Proven, Desired string
	Generation                                string
	Phase, Verdict, Reason                    string
	PushesCommitted                           string // by this host's channel; of the metrics alone
}

// requireAgreement fails the test unless the host's own links and record, its agent's metrics, the controller's
// metrics, the command line and the API over HTTP say the same of it.
func requireAgreement(t *testing.T, f *fleet.Fleet, h *fleet.Host, committed int) {
	t.Helper()
	facts := h.MustFacts(t)
	record, err := h.Record()
	if err != nil {
		t.Fatal(err)
	}
	var view proto.HostReply
	if err := json.Unmarshal([]byte(f.MustKedge(t, "status", h.Name(), "--json")), &view); err != nil {
		t.Fatal(err)
	}
	want := said{
		Current: facts.Current, Booted: facts.Booted, Profile: facts.Profile, Proven: facts.Profile, Desired: view.Host.Want.Toplevel.String(),
		Generation: strings.TrimSuffix(strings.TrimPrefix(facts.Generation, "system-"), "-link"),
		Phase:      string(record.Phase), Verdict: string(record.Phase.Verdict()), Reason: string(record.Reason),
	}
	for who, got := range map[string]said{
		"kedge status":             saidByView(view.Host),
		"the API over HTTP":        saidByView(askAPI(t, f, h.Name())),
		"the controller's metrics": saidByMetrics(controllerMetrics(t, f), "kedge_controller_host_", `host="`+h.Name()+`"`),
		"the agent's metrics":      saidByMetrics(h.MustRun(t, "curl", "-fsS", "http://127.0.0.1:9417/metrics"), "kedge_agent_", ""),
	} {
		want.PushesCommitted = ""
		if who == "the controller's metrics" {
			want.PushesCommitted = fmt.Sprint(committed)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s does not agree with %s (-host +it):\n%s", who, h.Name(), diff)
		}
	}
}

func saidByView(v proto.HostView) said {
	s := v.Status
	return said{
		Current: s.Systems.Current.String(), Booted: s.Systems.Booted.String(), Profile: s.Systems.Profile.String(),
		Proven: s.Systems.Proven.String(), Desired: v.Want.Toplevel.String(), Generation: s.Systems.Generation.String(),
		Phase: string(s.Deployment.Phase), Verdict: string(s.Deployment.Verdict), Reason: string(s.Deployment.Reason),
	}
}

// askAPI asks the API over HTTP about a host, as an operator with a token of its own.
func askAPI(t *testing.T, f *fleet.Fleet, host string) proto.HostView {
	t.Helper()
	const header = "/root/api.header"
	f.MustRunOnBuild(t, "sh", "-c", "umask 077; printf 'Authorization: Bearer %s' \"$(kedge operator token api)\" > "+header)
	var r proto.HostReply
	text := f.MustRunOnBuild(t, "curl", "--insecure", "-fsS", "--header", "@"+header, "https://127.0.0.1:8080/api/v1/host?host="+host)
	if err := json.Unmarshal([]byte(text), &r); err != nil || r.Host.Status == nil {
		t.Fatalf("the API says %s: %v", text, err)
	}
	return r.Host
}

// saidByMetrics reads what metrics say that begin with a prefix, of the host with a label.
func saidByMetrics(text, prefix, label string) (s said) {
	systems := map[string]*string{"current": &s.Current, "booted": &s.Booted, "profile": &s.Profile, "proven": &s.Proven, "desired": &s.Desired}
	for line := range strings.Lines(text) {
		m := regexp.MustCompile(`^` + prefix + `(\w+)(?:{(.*)})? (\S+)\n$`).FindStringSubmatch(line)
		if m == nil || !strings.Contains(m[2], label) {
			if n, is := strings.CutPrefix(line, `kedge_controller_push_to_commit_seconds_count{channel="main"} `); is {
				s.PushesCommitted = strings.TrimSpace(n)
			}
			continue
		}
		labels := map[string]string{}
		for _, l := range regexp.MustCompile(`(\w+)="([^"]*)"`).FindAllStringSubmatch(m[2], -1) {
			labels[l[1]] = l[2]
		}
		switch name, value := m[1], m[3]; {
		case name == "system_info" && value == "1":
			*systems[labels["system"]] = labels["toplevel"]
		case name == "info": // the controller's
			s.Generation = labels["generation"]
		case name == "generation":
			s.Generation = value
		case name == "deployment_info":
			s.Phase, s.Verdict, s.Reason = labels["phase"], labels["verdict"], labels["reason"]
		case name == "deployment_phase" && value == "1":
			s.Phase, s.Verdict = labels["phase"], string(proto.Phase(labels["phase"]).Verdict())
		case name == "deployment_reason" && value == "1":
			s.Reason = labels["reason"]
		}
	}
	return s
}

// requireRoom fails the test unless the agent says of every file system how much is free, as the host does.
func requireRoom(t *testing.T, h *fleet.Host) {
	t.Helper()
	text := h.MustRun(t, "curl", "-fsS", "http://127.0.0.1:9417/metrics")
	m := regexp.MustCompile(`kedge_agent_filesystem_size_bytes{mountpoint="/nix/store",use="store"} (\S+)`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("%s says nothing of its store", h.Name())
	}
	blocks := strings.Fields(h.MustRun(t, "stat", "--file-system", "--format", "%b %S", "/nix/store"))
	if got, want := number(t, m[1]), number(t, blocks[0])*number(t, blocks[1]); got != want {
		t.Errorf("%s: its store has %.0f bytes, by its metrics %.0f", h.Name(), want, got)
	}
	if !slices.Contains(strings.Split(text, "\n"), "kedge_agent_quarantined 1") {
		t.Errorf("%s says that nothing is in quarantine", h.Name())
	}
}

func number(t *testing.T, s string) (n float64) {
	t.Helper()
	if _, err := fmt.Sscan(s, &n); err != nil {
		t.Fatal(err)
	}
	return n
}
