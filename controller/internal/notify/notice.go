package notify

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"kedge/proto"
)

// An Event is what a notice is about.
type Event string

// The events.
const (
	RolloutHalted     Event = "rollout-halted"     // a budget broke, and a person has to decide
	RolloutReverted   Event = "rollout-reverted"   // who went goes back, or has gone back
	RolloutDone       Event = "rollout-done"       // every wave has ended
	ApprovalWanted    Event = "approval-wanted"    // a rollout waits for a person
	CanaryDeferred    Event = "canary-deferred"    // the others of its wave wait for a canary that waits for something of its own
	RolledBack        Event = "rolled-back"        // a host went back to what was proven
	RollbackFailed    Event = "rollback-failed"    // a host could not: a person has to look
	DeploymentFailed  Event = "deployment-failed"  // it ended before a host was touched
	Refused           Event = "refused"            // a host refuses what is published for it, for half an hour
	SecondMachine     Event = "second-machine"     // a host is two machines
	BuildFailed       Event = "build-failed"       // a revision does not get out, or not for every host
	ForcePushed       Event = "force-pushed"       // a branch was pushed over, and goes out
	SourceUnreachable Event = "source-unreachable" // a repository cannot be looked at, for five minutes
	Test              Event = "test"               // a person tries a destination
)

// Events returns every event that a destination may be told of.
func Events() []Event {
	return []Event{
		RolloutHalted, RolloutReverted, RolloutDone, ApprovalWanted, CanaryDeferred, RolledBack, RollbackFailed, DeploymentFailed,
		Refused, SecondMachine, BuildFailed, ForcePushed, SourceUnreachable,
	}
}

// patience is for how long something has to be so before it is told.
func (e Event) patience() time.Duration {
	switch e {
	case SourceUnreachable:
		return 5 * time.Minute
	case Refused:
		return 30 * time.Minute
	case RolloutHalted, RolloutReverted, RolloutDone, ApprovalWanted, CanaryDeferred, RolledBack, RollbackFailed, DeploymentFailed,
		SecondMachine, BuildFailed, ForcePushed, Test:
	}
	return 0
}

// A Notice is one thing that is so, and that somebody should know.
type Notice struct {
	Key      string         `json:"key"` // the same for as long as it is so, and for nothing else
	Event    Event          `json:"event"`
	Host     proto.HostName `json:"host,omitzero"`
	Channel  string         `json:"channel,omitempty"`
	Rollout  string         `json:"rollout,omitempty"`
	Revision proto.Revision `json:"revision,omitzero"`
	Reason   proto.Reason   `json:"reason,omitempty"`
	Message  string         `json:"message,omitempty"`
	Since    time.Time      `json:"since,omitzero"` // by the clock of who noticed it
	// HeldBack is how many others of this kind the destination was not told of this
	// host since it was told of one.
	HeldBack int `json:"held_back,omitempty"`
}

// Line says n in a sentence.
func (n Notice) Line() string {
	text := map[Event]string{
		RolloutHalted:     "the rollout of channel " + n.Channel + " halted itself, and waits for a person",
		RolloutReverted:   "the rollout of channel " + n.Channel + " is taken back",
		RolloutDone:       "the rollout of channel " + n.Channel + " is done",
		ApprovalWanted:    "the rollout of channel " + n.Channel + " waits for an approval (kedge rollout promote)",
		CanaryDeferred:    "the rollout of channel " + n.Channel + " waits for its canary",
		RolledBack:        n.Host.String() + " went back to the system that worked",
		RollbackFailed:    n.Host.String() + " could not go back to its proven system: a person has to look",
		DeploymentFailed:  n.Host.String() + " got nothing new",
		Refused:           n.Host.String() + " refuses what is published for it",
		SecondMachine:     n.Host.String() + " is two machines",
		BuildFailed:       "the newest revision of channel " + n.Channel + " does not get out, or not for every host",
		ForcePushed:       "the branch of channel " + n.Channel + " was pushed over, and goes out",
		SourceUnreachable: "the repository of channel " + n.Channel + " cannot be looked at",
		Test:              "this is a test, and nothing is wrong",
	}[n.Event]
	if !n.Revision.IsZero() {
		text += " (revision " + n.Revision.Short() + ")"
	}
	parts := slices.DeleteFunc([]string{text, string(n.Reason), n.Message}, func(s string) bool { return s == "" })
	line := strings.Join(parts, ": ")
	if n.HeldBack > 0 {
		line = fmt.Sprintf("(%d others held back) %s", n.HeldBack, line)
	}
	return line
}

// InForce returns what is worth telling of a fleet, in a fixed order.
func InForce(f proto.FleetReply) (all []Notice) {
	for _, r := range f.Rollouts {
		all = append(all, ofRollout(r)...)
	}
	for _, s := range f.Sources {
		all = append(all, ofSource(s)...)
	}
	waiting := map[string][]proto.HostView{} // by channel
	for _, h := range f.Hosts {
		all = append(all, ofHost(h)...)
		if h.Waits != nil {
			waiting[h.Channel] = append(waiting[h.Channel], h)
		}
	}
	for _, r := range f.Rollouts {
		if r.State == proto.RolloutRunning {
			all = append(all, ofWaiting(r, waiting[r.Channel])...)
		}
	}
	slices.SortFunc(all, func(a, b Notice) int {
		return cmp.Or(cmp.Compare(slices.Index(Events(), a.Event), slices.Index(Events(), b.Event)), cmp.Compare(a.Key, b.Key))
	})
	return all
}

func ofRollout(r proto.RolloutView) []Notice {
	e, tell := map[proto.RolloutState]Event{
		proto.RolloutHalted: RolloutHalted, proto.RolloutReverting: RolloutReverted, proto.RolloutReverted: RolloutReverted, proto.RolloutDone: RolloutDone,
	}[r.State]
	if !tell || r.ID == "" {
		return nil
	}
	since := r.Since
	if e != RolloutHalted { // it halts again after a retry, and that is news
		since = time.Time{}
	}
	return []Notice{{
		Key: key(e, r.ID, since), Event: e, Channel: r.Channel, Rollout: r.ID, Revision: r.Revision, Message: r.Why, Since: r.Since,
	}}
}

func ofSource(s proto.SourceStatus) (all []Notice) {
	if p := s.Over(); p != nil {
		all = append(all, Notice{
			Key: key(ForcePushed, s.Channel+"/"+p.Revision.String(), p.Time), Event: ForcePushed, Channel: s.Channel, Revision: p.Revision,
			Message: "it does not follow from " + p.Over.Short() + ", which was deployed before it", Since: p.Time,
		})
	}
	n := Notice{Channel: s.Channel, Reason: s.Reason, Message: s.Error}
	if s.Reason == "" {
		return all
	}
	if s.Reason == proto.ReasonSourceUnreachable {
		n.Event, n.Key = SourceUnreachable, key(SourceUnreachable, s.Channel, time.Time{})
		return append(all, n)
	}
	n.Event, n.Revision = BuildFailed, s.Revision
	n.Key = key(BuildFailed, s.Channel+"/"+s.Revision.String()+"/"+string(s.Reason), time.Time{})
	return append(all, n)
}

func ofHost(h proto.HostView) (all []Notice) {
	if h.Rival != nil {
		all = append(all, Notice{Key: key(SecondMachine, h.Host.String(), time.Time{}), Event: SecondMachine, Host: h.Host, Message: h.Rival.Message, Since: h.Rival.Seen})
	}
	if h.Status == nil {
		return all
	}
	d := h.Status.Deployment
	e, tell := map[proto.Verdict]Event{
		proto.VerdictRolledBack: RolledBack, proto.VerdictRollbackFailed: RollbackFailed, proto.VerdictFailed: DeploymentFailed,
	}[d.Verdict]
	if tell {
		k := key(e, h.Host.String()+"/"+d.ID, time.Time{})
		if e == DeploymentFailed { // it is tried again and again
			k = failure(h)
		}
		all = append(all, Notice{
			Key: k, Event: e, Host: h.Host, Channel: h.Channel, Revision: d.Revision,
			Reason: d.Reason, Message: d.Message, Since: d.Since,
		})
	}
	if c, _ := h.Status.Condition(proto.ConditionAccepted); c.Status == proto.StatusFalse {
		all = append(all, Notice{
			Key: key(Refused, h.Host.String()+"/"+string(c.Reason), time.Time{}), Event: Refused, Host: h.Host, Reason: c.Reason, Message: c.Message, Since: c.Since,
		})
	}
	return all
}

func key(e Event, what string, since time.Time) string {
	k := string(e) + "/" + what
	if !since.IsZero() {
		k += "/" + since.UTC().Format(time.RFC3339Nano)
	}
	return k
}

// failure names that a host's deployment fails, whose every attempt has another ID.
func failure(h proto.HostView) string {
	return key(DeploymentFailed, h.Host.String()+"/"+h.Status.Deployment.Toplevel.String(), time.Time{})
}

// unsettled returns what reports whether nobody can say whether what a key names is so
// still: the channel that it is of is being worked on, or cannot be looked at, or its host
// tries again.
func unsettled(f proto.FleetReply) func(key string) bool {
	trying := map[string]bool{}
	for _, h := range f.Hosts {
		if h.Status != nil && h.Status.Deployment.Verdict == proto.VerdictPending {
			trying[failure(h)] = true
		}
	}
	return func(key string) bool {
		return trying[key] || slices.ContainsFunc(f.Sources, func(s proto.SourceStatus) bool {
			build := strings.HasPrefix(key, string(BuildFailed)+"/"+s.Channel+"/")
			return build && (s.Working || s.Reason == proto.ReasonSourceUnreachable)
		})
	}
}
