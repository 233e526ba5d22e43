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
