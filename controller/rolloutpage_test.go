package controller

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"kedge/proto"
	"kedge/proto/bus"
)

// TestARolloutHasPages, as the fleet has; a plan, too, of which somebody goes meanwhile.
func TestARolloutHasPages(t *testing.T) {
	const hosts = 2500
	fleet := NewFleet(time.Now)
	shown := proto.RolloutShowReply{Rollout: proto.RolloutView{ID: "main-7", Channel: "main"}}
	var names []proto.HostName
	for i := range hosts {
		names = append(names, host(t, fmt.Sprintf("h%04d", hosts-i))) // not in the order of names
		shown.Hosts = append(shown.Hosts, proto.RolloutHost{Host: names[i], State: proto.RolloutHostWaiting})
	}
	r := newRunnerOf(fleet)
	r.rollout.ID = "main-7"
	r.list()
	o := &rollouts{runners: map[string]*runner{"main": r.runner}, holds: &holds{}, fleet: fleet}
	fleet.Rolled(shown)
	var got []proto.HostName
	pages := 0
	for req := (proto.RolloutShowRequest{Rollout: "main"}); ; pages++ {
		page, err := o.show(t.Context(), bus.Caller{}, req)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, namesIn(page.Hosts)...)
		if req.Continue = page.Continue; page.Continue.IsZero() {
			break
		}
	}
	if pages != 2 || !slices.Equal(got, names) {
		t.Errorf("%d hosts on %d pages, want all on three, in their order", len(got), pages+1)
	}
	one, err := o.show(t.Context(), bus.Caller{}, proto.RolloutShowRequest{Limit: 1, Continue: names[1]})
	if err != nil || !slices.Equal(namesIn(one.Hosts), names[2:3]) || one.Continue != names[2] {
		t.Errorf("with a limit: %v, %s, %v", namesIn(one.Hosts), one.Continue, err)
	}
	_, err = o.show(t.Context(), bus.Caller{}, proto.RolloutShowRequest{Continue: host(t, "x")})
	if refused, ok := errors.AsType[*bus.APIError](err); !ok || refused.Code != bus.CodeConflict {
		t.Errorf("after a host that it has not: error = %v", err)
	}

	plan, err := o.plan(t.Context(), bus.Caller{}, proto.RolloutPlanRequest{Limit: 2})
	if err != nil || !slices.Equal(namesIn(plan.Hosts), names[:2]) || plan.Continue != names[1] {
		t.Fatalf("plan: %v, %s, %v", namesIn(plan.Hosts), plan.Continue, err)
	}
	went := slices.Clone(shown.Hosts)
	went[1].State, went[2].State = proto.RolloutHostSettled, proto.RolloutHostSettled
	shown.Hosts = went
	fleet.Rolled(shown)
	plan, err = o.plan(t.Context(), bus.Caller{}, proto.RolloutPlanRequest{Limit: 1, Continue: plan.Continue})
	if err != nil || !slices.Equal(namesIn(plan.Hosts), names[3:4]) {
		t.Errorf("the next page of the plan: %v, %v", namesIn(plan.Hosts), err)
	}
	if last, err := o.plan(t.Context(), bus.Caller{}, proto.RolloutPlanRequest{Continue: names[hosts-1]}); err != nil || last.Hosts == nil || len(last.Hosts) > 0 {
		t.Errorf("after the last: %+v, %v", last.Hosts, err)
	}
}

func namesIn(hosts []proto.RolloutHost) (names []proto.HostName) {
	for _, h := range hosts {
		names = append(names, h.Host)
	}
	return names
}
