package deployment_test

import (
	"encoding/json"
	"strings"
	"testing"

	"kedge/agent/internal/deployment"
	"kedge/proto"
)

// TestSpecialisationsOnDisk: a record without one is as it was before there were
// any, and one with one keeps it.
func TestSpecialisationsOnDisk(t *testing.T) {
	p, err := proto.ParseStorePath("/nix/store/00000000000000000000000000000000-nixos-system-a")
	if err != nil {
		t.Fatal(err)
	}
	d := deployment.Deployment{Toplevel: p, Proven: deployment.Proven{Toplevel: p}}
	b, err := json.Marshal(d)
	if err != nil || strings.Contains(string(b), "specialisation") || strings.Contains(string(b), `"back"`) {
		t.Errorf("without one: %s, %v", b, err)
	}
	s := deployment.Specialisation{Name: "docked", System: p}
	d.Specialisation, d.Back, d.Proven.Specialisation = s, s, s
	if b, err = json.Marshal(d); err != nil {
		t.Fatal(err)
	}
	const text = `{"name":"docked","system":"/nix/store/00000000000000000000000000000000-nixos-system-a"}`
	for _, member := range []string{`"specialisation":`, `"back":`} {
		if !strings.Contains(string(b), member) {
			t.Errorf("%s is not in %s", member, b)
		}
	}
	if n := strings.Count(string(b), text); n != 3 {
		t.Errorf("%d of 3 are as they should be in %s", n, b)
	}
	var got deployment.Deployment
	if err := json.Unmarshal(b, &got); err != nil || got.Specialisation != s || got.Back != s || got.Proven.Specialisation != s {
		t.Errorf("got back %+v, %v", got, err)
	}
}
