package cli

import (
	"errors"
	"slices"
	"testing"

	"kedge/proto"
)

func TestAFleetOfManyPagesIsShownWhole(t *testing.T) {
	names := []proto.HostName{hostNamed(t, "a"), hostNamed(t, "b"), hostNamed(t, "c")}
	var asked []proto.FleetRequest
	ask := func(req proto.FleetRequest) (proto.FleetReply, error) {
		asked = append(asked, req)
		page := len(asked) - 1
		reply := proto.FleetReply{Version: 7 + uint64(page), Hosts: []proto.HostView{{Host: names[page]}}}
		if page+1 < len(names) {
			reply.Continue = names[page]
		}
		return reply, nil
	}
	got, err := allPages(proto.FleetRequest{After: 6, Wait: proto.MaxWait}, ask)
	if err != nil || len(got.Hosts) != len(names) || got.Version != 7 || !got.Continue.IsZero() {
		t.Errorf("got %+v, %v; want %d hosts, as of version 7", got, err, len(names))
	}
	if len(asked) != len(names) || asked[0].After != 6 || asked[1].After != 0 || asked[2].Continue != names[1] {
		t.Errorf("asked %+v", asked)
	}
	gone := errors.New("gone")
	if _, err := allPages(proto.FleetRequest{}, func(proto.FleetRequest) (proto.FleetReply, error) { return proto.FleetReply{}, gone }); !errors.Is(err, gone) {
		t.Errorf("error = %v, want %v", err, gone)
	}
}

func hostNamed(t *testing.T, s string) proto.HostName {
	t.Helper()
	h, err := proto.ParseHostName(s)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestARolloutOfManyPagesIsShownWhole: by its ID, for its channel may have another one by
// the second page.
func TestARolloutOfManyPagesIsShownWhole(t *testing.T) {
	names := []proto.HostName{hostNamed(t, "a"), hostNamed(t, "b"), hostNamed(t, "c")}
	page := func(after proto.HostName) (hosts []proto.RolloutHost, next proto.HostName) {
		i := slices.Index(names, after) + 1
		if i+1 < len(names) {
			next = names[i]
		}
		return []proto.RolloutHost{{Host: names[i]}}, next
	}
	first := proto.RolloutShowRequest{Rollout: "main", After: 6, Wait: proto.MaxWait}
	shown, err := allOfRollout(first, func(req proto.RolloutShowRequest) (proto.RolloutShowReply, error) {
		hosts, next := page(req.Continue)
		if req.Continue.IsZero() != (req == first) || !req.Continue.IsZero() && req.Rollout != "main-7" {
			t.Errorf("asked %+v", req)
		}
		return proto.RolloutShowReply{Rollout: proto.RolloutView{ID: "main-7"}, Hosts: hosts, Continue: next}, nil
	})
	if err != nil || len(shown.Hosts) != len(names) || !shown.Continue.IsZero() {
		t.Errorf("shown: %+v, %v; want %d hosts", shown, err, len(names))
	}
	plan, err := allOfPlan(proto.RolloutPlanRequest{}, func(req proto.RolloutPlanRequest) (proto.RolloutPlanReply, error) {
		hosts, next := page(req.Continue)
		if !req.Continue.IsZero() && req.Rollout != "main-7" {
			t.Errorf("asked %+v", req)
		}
		return proto.RolloutPlanReply{Rollout: proto.RolloutView{ID: "main-7"}, Hosts: hosts, Continue: next}, nil
	})
	if err != nil || len(plan.Hosts) != len(names) || !plan.Continue.IsZero() {
		t.Errorf("plan: %+v, %v; want %d hosts", plan, err, len(names))
	}
}
