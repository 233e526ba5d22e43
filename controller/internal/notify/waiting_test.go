package notify

import (
	"testing"

	"kedge/proto"
)

// TestWhoIsAskedForAnApprovalIsToldWhatChanges, as far as that is known.
func TestWhoIsAskedForAnApprovalIsToldWhatChanges(t *testing.T) {
	view := proto.FleetReply{Rollouts: []proto.RolloutView{{ID: "1", Channel: "main", State: proto.RolloutRunning}}}
	says := func(want string) {
		t.Helper()
		got := InForce(view)
		if len(got) != 1 || got[0].Event != ApprovalWanted || got[0].Line() != want {
			t.Errorf("got %+v, want %q", got, want)
		}
	}
	wants := func(name string, c *proto.Changes) {
		view.Hosts = append(view.Hosts, proto.HostView{
			Host: host(t, name), Channel: "main", Changes: c, Waits: &proto.RolloutWait{For: proto.ReasonAwaitingApproval},
		})
	}
	const asks = "the rollout of channel main waits for an approval (kedge rollout promote)"
	wants("db1", nil)
	says(asks)
	wants("web1", &proto.Changes{Upgraded: 2, Boot: []string{"kernel"}})
	wants("web2", &proto.Changes{Added: 1})
	says(asks + ": hosts that wait: 3, for something that takes a reboot: 1; web1: 2 upgraded, +0.0 KiB; with a reboot: kernel")
}
