//go:build e2e

package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// The versions of this scenario, as agents call them. The later one writes what
// this one has never heard of.
const (
	thisVersion  = "dev"
	laterVersion = "later"
)

// killGrace is long enough to kill something when the new agent has made
// contact, and before the system is judged.
const killGrace = 10 * time.Second

// TestTransactionVersions: agents of two versions replace each other, there and
// back, also where the new one fails, or something is killed in the middle of its
// probation; each understands what the other one left, and what it says.
func TestTransactionVersions(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "kedge-agent-later")
	if err := fleet.BuildAgent(t.Context(), dir, laterVersion, "next"); err != nil {
		t.Fatal(err)
	}
	kills := map[string]kill{"agent": killAgent, "transact": killTransaction, "power": cutPower}
	killed := slices.Collect(maps.Keys(kills))
	f := up(t, append(killed, "calm", "units", "nowhere")...)
	v := versions{Fleet: f, agents: map[string]string{}}
	commit(t, f, "before", func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App("before"))
		fleet.Edit(w, fleet.Config("grace: 1s", "grace: "+killGrace.String()), killed...)
		v.agents[thisVersion], v.whole = w.Hosts["calm"].Agent, maps.Clone(w.Hosts)
	})
	var err error
	if v.agents[laterVersion], err = f.AddToStore(t.Context(), dir); err != nil {
		t.Fatal(err)
	}

	// There, and at once back, by this version's transaction.
	v.round(t, laterVersion, kills, append(killed, "units"), func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.Config(":4222", ":4"), "nowhere")
		fleet.Edit(w, soonDecided, "nowhere")
	})
	// There.
	v.round(t, laterVersion, kills, nil, nil)
	for _, h := range f.Hosts() {
		requireLater(t, h, "/run/kedge/contact.json", path.Join(stateDir, "reported.json"))
	}
	// Back, by the later version's transaction; but for one that is not let go.
	v.round(t, thisVersion, kills, []string{"units"}, nil)
	for _, h := range f.Hosts() {
		requireLater(t, h, path.Join(stateDir, "deployment.json"))
	}
	requireLater(t, f.Host("units"), path.Join(stateDir, "quarantine.json"))
	requireLater(t, f.Host("calm"), path.Join(stateDir, "proven.json"))
	// That one, too; the others from what the later version left.
	v.round(t, thisVersion, nil, nil, nil)
}

// versions is a fleet whose agents replace each other.
type versions struct {
	*fleet.Fleet
	agents map[string]string        // store path by version
	whole  map[string]toplevel.Host // systems with nothing wrong in them
	rounds int
}

// round pushes an agent to every host, and kills what is to be killed once it has
// made contact. Those hosts whose units are to fail, and the one whose agent is
// to connect nowhere, go back; the others stay.
func (v *versions) round(t *testing.T, version string, kills map[string]kill, fail []string, nowhere func(w *toplevel.Fleet)) {
	t.Helper()
	v.rounds++
	text := fmt.Sprintf("round %d, %s", v.rounds, version)
	t.Log(text)
	before, ran := map[string]fleet.Facts{}, map[string]string{}
	for _, h := range v.Hosts() {
		before[h.Name()], ran[h.Name()] = h.MustFacts(t), runs(t, h)
	}
	rev := v.MustPush(t, text, func(w *toplevel.Fleet) {
		w.Hosts = maps.Clone(v.whole)
		fleet.Edit(w, fleet.App(text))
		fleet.Edit(w, func(h *toplevel.Host) { h.Agent = v.agents[version] })
		if len(fail) > 0 {
			fleet.Edit(w, fleet.AddUnit("broken.service", toplevel.FailsToStart("no")), fail...)
		}
		if nowhere != nil {
			nowhere(w)
		}
	})
	done := make(chan error, len(kills))
	for name, kill := range kills {
		go func() { done <- killInProbation(t, v.Host(name), rev, version, kill) }()
	}
	for range kills {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range v.Hosts() {
		want := end{proto.PhaseCommitted, ""}
		switch {
		case slices.Contains(fail, h.Name()):
			want = end{proto.PhaseRolledBack, proto.ReasonUnitsFailed}
		case h.Name() == "nowhere" && nowhere != nil:
			want = end{proto.PhaseRolledBack, proto.ReasonNoContact}
		}
		d := h.MustAwaitPhase(t, rev, proto.PhaseCommitted, proto.PhaseRolledBack).Status.Deployment
		if d.Phase != want.phase || want.reason != "" && d.Reason != want.reason {
			t.Fatalf("%s, %s: ended %s because of %q: %s; want %s because of %q", text, h.Name(), d.Phase, d.Reason, d.Message, want.phase, want.reason)
		}
		if want.phase == proto.PhaseCommitted {
			requireOn(t, h, text)
			ran[h.Name()] = version
		} else {
			same := before[h.Name()]
			if h.Name() == "power" {
				same.Booted = same.Current
			}
			requireSame(t, h, same)
			// Told by the agent that failed, or kept by it for the one before.
			h.MustAwaitEvent(t, "going back", func(e proto.Event) bool { return e.Deployment == d.ID && e.Phase == proto.PhaseRollingBack })
		}
		v.requireUnderstood(t, h, ran[h.Name()], d)
	}
}

// killInProbation kills as soon as the new agent has made contact, which must
// be before the host has decided about rev.
func killInProbation(t *testing.T, h *fleet.Host, rev proto.Revision, version string, kill kill) error {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	r, err := h.AwaitRecord(ctx, rev.Short()+" to be in probation", func(r fleet.Record) bool {
		return r.Revision == rev && r.Phase == proto.PhaseProbation
	})
	if err != nil {
		return err
	}
	started := r.Entered(proto.PhaseProbation)
	if err := awaitReceipt(ctx, h, func(c receipt) bool { return c.Version == version && c.At.After(started) }); err != nil {
		return fmt.Errorf("await contact of the new agent: %w", err)
	}
	hit, err := kill(ctx, h, r)
	if err == nil && hit != proto.PhaseProbation {
		err = fmt.Errorf("kill in probation on %s: it was %s already", h.Name(), hit)
	}
	return err
}

// requireUnderstood fails unless the command lines of both versions understand
// the agent that runs, which is of that version, and its files, and say of both
// the same; d is the last deployment. What one holds back the other one lets go.
func (v *versions) requireUnderstood(t *testing.T, h *fleet.Host, running string, d proto.DeploymentStatus) {
	t.Helper()
	this, later := v.agents[thisVersion]+"/bin/kedge-agent", v.agents[laterVersion]+"/bin/kedge-agent"
	if exists, err := h.Exists(later); err != nil || !exists {
		t.Fatalf("%s: the agent of the other version is not in its store: %v", h.Name(), err)
	}
	h.MustRun(t, later, "reconcile") // what has ended is remembered by the end of it
	told := map[string][]string{}
	for _, from := range []string{running, ""} { // "": from the files
		if from == "" {
			h.MustRun(t, this, "suspend", "--reason", "to look at its files")
			h.MustRun(t, "systemctl", "stop", "kedge-agent.service")
		}
		for _, program := range []string{this, later} {
			var s proto.Status
			mustRead(t, h, &s, program, "status", "--json")
			c, _ := s.Condition(proto.ConditionStateValid)
			if s.Agent != from || s.Deployment.ID != d.ID || s.Deployment.Phase != d.Phase || c.Status != proto.StatusTrue {
				t.Errorf("%s: %s status reads agent %q (want %q), deployment %s %s (want %s %s), state %+v",
					h.Name(), program, s.Agent, from, s.Deployment.ID, s.Deployment.Phase, d.ID, d.Phase, c)
			}
			var history struct {
				Deployments []proto.DeploymentStatus `json:"deployments"`
			}
			mustRead(t, h, &history, program, "history", "--json")
			for _, past := range history.Deployments {
				told[program+" "+from] = append(told[program+" "+from], fmt.Sprintln(past.ID, past.Phase, past.Reason))
			}
			requireSays(t, "history as text", h.MustRun(t, program, "history"), d.ID)
		}
	}
	requireSays(t, "status as text", h.MustRun(t, later, "status"), "suspended: by root: to look at its files")
	h.MustRun(t, "systemctl", "start", "kedge-agent.service")
	awaitContact(t, h, d.Serial)
	h.MustRun(t, later, "resume")
	if status := h.MustRun(t, this, "status"); strings.Contains(status, "to look at its files") {
		t.Errorf("%s: is suspended although it was resumed:\n%s", h.Name(), status)
	}
	for from, history := range told {
		if diff := cmp.Diff(told[this+" "+running], history); diff != "" || len(history) == 0 {
			t.Errorf("%s: the history that %s reads differs:\n%s", h.Name(), from, diff)
		}
	}
}

// mustRead runs a program on the host and reads the JSON that it prints.
func mustRead(t *testing.T, h *fleet.Host, to any, argv ...string) {
	t.Helper()
	if err := json.Unmarshal([]byte(h.MustRun(t, argv...)), to); err != nil {
		t.Fatalf("%s: read what %q said: %v", h.Name(), argv, err)
	}
}

// runs returns the version of the host's agent.
func runs(t *testing.T, h *fleet.Host) string {
	t.Helper()
	var s proto.Status
	mustRead(t, h, &s, "kedge-agent", "status", "--json")
	return s.Agent
}

// requireLater fails unless the files are as the later version writes them.
func requireLater(t *testing.T, h *fleet.Host, names ...string) {
	t.Helper()
	for _, name := range names {
		if b, err := h.ReadFile(name); err != nil || !strings.Contains(string(b), "from_next") {
			t.Errorf("%s: %s is not as the later version writes it: %s (%v)", h.Name(), name, b, err)
		}
	}
}
