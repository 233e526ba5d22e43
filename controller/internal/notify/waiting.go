package notify

import (
	"fmt"
	"slices"

	"kedge/proto"
)

// ofWaiting is about the hosts that a rollout has not come to, which wait, and for whom a
// person has to do something.
func ofWaiting(r proto.RolloutView, hosts []proto.HostView) (all []Notice) {
	n := Notice{Channel: r.Channel, Rollout: r.ID, Revision: r.Revision}
	if wanting := waitingFor(hosts, proto.ReasonAwaitingApproval); len(wanting) > 0 {
		n.Event, n.Message = ApprovalWanted, changes(wanting)
		n.Key = fmt.Sprintf("%s/%s/%d", n.Event, r.ID, r.Wave)
		all = append(all, n)
	}
	if behind := waitingFor(hosts, proto.ReasonCanaryDeferred); len(behind) > 0 {
		n.Event, n.Message = CanaryDeferred, behind[0].Waits.Message
		n.Key = fmt.Sprintf("%s/%s/%d", n.Event, r.ID, r.Wave)
		all = append(all, n)
	}
	return all
}

func waitingFor(hosts []proto.HostView, what proto.Reason) []proto.HostView {
	return slices.DeleteFunc(slices.Clone(hosts), func(h proto.HostView) bool { return h.Waits.For != what })
}

// changes says in a line what hosts would get; nothing if that is not known of any.
func changes(hosts []proto.HostView) string {
	known, reboots := slices.DeleteFunc(slices.Clone(hosts), func(h proto.HostView) bool { return h.Changes == nil }), 0
	if len(known) == 0 {
		return ""
	}
	for _, h := range known {
		if len(h.Changes.Boot) > 0 {
			reboots++
		}
	}
	return fmt.Sprintf("hosts that wait: %d, for something that takes a reboot: %d; %s: %s", len(hosts), reboots, known[0].Host, known[0].Changes)
}
