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
	type member struct {
		Name   string `json:"name"`
		System string `json:"system"`
	}
	type members struct {
		Specialisation member `json:"specialisation"`
		Back           member `json:"back"`
	}
	var written struct {
		members
		Proven members `json:"proven"`
	}
	if err := json.Unmarshal(b, &written); err != nil {
		t.Fatal(err)
	}
	want := member{s.Name, p.String()}
	if written.Specialisation != want || written.Back != want || written.Proven.Specialisation != want {
		t.Errorf("not all three are as they should be in %s", b)
	}
	var got deployment.Deployment
	if err := json.Unmarshal(b, &got); err != nil || got.Specialisation != s || got.Back != s || got.Proven.Specialisation != s {
		t.Errorf("got back %+v, %v", got, err)
	}
}
