package controller

import (
	"maps"
	"slices"
	"testing"
	"time"

	"kedge/internal/spec"
	"kedge/proto"
)

// builds is deployAs, of a revision of which some hosts do not build.
func (r runnerTest) builds(t *testing.T, rev, text string, all map[proto.HostName]proto.StorePath, failed ...string) {
	t.Helper()
	hosts := slices.Collect(maps.Keys(all))
	s, err := spec.Parse([]byte(text), hosts)
	if err != nil {
		t.Fatal(err)
	}
	r.fleet.Claim("main", hosts)
	for _, h := range hosts {
		r.fleet.Heard(h, "", time.Now())
	}
	built := maps.Clone(all)
	for _, h := range failed {
		delete(built, host(t, h))
	}
	if err := r.begin(t.Context(), revision(t, rev), s, built, nil); err != nil {
		t.Fatal(err)
	}
}

// TestACanaryThatIsNotBuiltIsNoReasonToGoAtOnce: another host goes first in its place.
func TestACanaryThatIsNotBuiltIsNoReasonToGoAtOnce(t *testing.T) {
	for name, text := range map[string]string{
		"a canary by name":       `{"rollout": {"waves": [{"name": "web", "hosts": "all", "canary": {"hosts": "web1", "soak": "10m"}}]}}`,
		"a wave of its own":      `{"rollout": {"waves": [{"name": "canary", "hosts": "web1", "soak": "10m"}, {"name": "web", "hosts": "web2 or web3"}]}}`,
		"a wave before the rest": `{"rollout": {"waves": [{"name": "canary", "hosts": "web1", "soak": "10m"}]}}`,
	} {
		r := newRunner()
		r.builds(t, "1", text, fleetOf(t, "a"), "web1")
		if did := r.publisher.did(); len(did) != 1 {
			t.Errorf("%s: published %v, want for one host alone", name, did)
		}
	}
}

// TestWhoBuildsLateGoesAsItsWaveGoes: with its approval, and as many at a time, also if the
// wave was left out when the rollout began, or all others are through.
func TestWhoBuildsLateGoesAsItsWaveGoes(t *testing.T) {
	const text = `{"rollout": {"approval": true, "waves": [{"name": "web", "hosts": "web1", "soak": "1h"},
		{"name": "db", "hosts": "web2 or web3", "approval": true, "maxInFlight": 1}]}}`
	for name, tt := range map[string]struct {
		first func(r runnerTest) // what is done before they build
		soaks bool
	}{
		"web soaks":    {func(runnerTest) {}, true},
		"web has gone": {func(r runnerTest) { r.must(t, proto.RolloutActPromote, "") }, false},
	} {
		r := newRunner()
		r.builds(t, "1", text, fleetOf(t, "a"), "web2", "web3")
		r.mustHavePublished(t, name+", before anybody approves")
		r.must(t, proto.RolloutActPromote, "")
		r.says(t, "web1", proto.PhaseCommitted)
		r.mustHavePublished(t, name, "web1=a")
		tt.first(r)
		r.builds(t, "1", text, fleetOf(t, "a"))
		if tt.soaks {
			r.must(t, proto.RolloutActPromote, "")
		}
		r.mustHavePublished(t, name+", before anybody approves of db")
		r.must(t, proto.RolloutActPromote, "")
		r.mustHavePublished(t, name+", approved", "web2=a")
		r.says(t, "web2", proto.PhaseCommitted)
		r.mustHavePublished(t, name+", then", "web3=a")
	}
}

// TestARevisionIsApprovedOfOnce, whoever builds later.
func TestARevisionIsApprovedOfOnce(t *testing.T) {
	const text = `{"rollout": {"approval": true}}`
	r := newRunner()
	r.builds(t, "1", text, fleetOf(t, "a"), "web3")
	r.must(t, proto.RolloutActPromote, "")
	r.mustHavePublished(t, "approved", "web1=a", "web2=a")
	r.builds(t, "1", text, fleetOf(t, "a"))
	r.mustHavePublished(t, "who builds later", "web3=a")
	r.builds(t, "2", text, fleetOf(t, "b"))
	r.mustHavePublished(t, "another revision")
}
