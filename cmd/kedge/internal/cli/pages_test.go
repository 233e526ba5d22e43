package cli

import (
	"errors"
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
