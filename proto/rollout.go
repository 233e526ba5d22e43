package proto

import "time"

// A RolloutState is how a rollout as a whole stands.
type RolloutState string

// The states of a rollout.
const (
	RolloutRunning    RolloutState = "running"
	RolloutPaused     RolloutState = "paused"     // by a person
	RolloutHalted     RolloutState = "halted"     // by a budget; a person decides
	RolloutReverting  RolloutState = "reverting"  // hosts get back what they had before
	RolloutReverted   RolloutState = "reverted"   // they have it
	RolloutAborted    RolloutState = "aborted"    // by a person; hosts keep what they have
	RolloutDone       RolloutState = "done"       // every wave has ended
	RolloutSuperseded RolloutState = "superseded" // a newer one took its place
)

// RolloutStates returns every state.
func RolloutStates() []RolloutState {
	return []RolloutState{
		RolloutRunning, RolloutPaused, RolloutHalted, RolloutReverting,
		RolloutReverted, RolloutAborted, RolloutDone, RolloutSuperseded,
	}
}

// Ended reports whether nothing more comes of a rollout in this state by itself, or
// by anybody but a newer one.
func (s RolloutState) Ended() bool {
	switch s {
	case RolloutRunning, RolloutPaused, RolloutHalted, RolloutReverting:
		return false
	case RolloutReverted, RolloutAborted, RolloutDone, RolloutSuperseded:
		return true
	}
	return false
}

// A RolloutHostState is how far a rollout has come with one host.
type RolloutHostState string

// The states of a host in a rollout.
const (
	RolloutHostWaiting   RolloutHostState = "waiting"   // nothing is published for it yet
	RolloutHostPublished RolloutHostState = "published" // no verdict yet
	RolloutHostSettled   RolloutHostState = "settled"   // it came to a verdict
	RolloutHostSilent    RolloutHostState = "silent"    // it was online, and said nothing for too long
	RolloutHostDeferred  RolloutHostState = "deferred"  // it waits for something of its own, and nobody waits for it
	RolloutHostOffline   RolloutHostState = "offline"   // nor was it online when something was published for it
)

// A RolloutView is a rollout as operators see it.
type RolloutView struct {
	ID       string       `json:"id"`
	Channel  string       `json:"channel"`
	Revision Revision     `json:"revision,omitzero"`
	State    RolloutState `json:"state"`
	// Since is when it came into that state, and By who brought it there, empty for the
	// controller itself. Why says why, if that is more than the state says: which budget
	// broke, and by whose failures.
	Since   time.Time     `json:"since"`
	By      string        `json:"by,omitempty"`
	Why     string        `json:"why,omitempty"`
	Created time.Time     `json:"created"`
	Wave    int           `json:"wave"` // index of the current one; len(Waves) after the last
	Waves   []RolloutWave `json:"waves"`
	// Left is how many hosts go with no wave: they were held until the last one had
	// started, or the rollout ended before it came to them.
	Left int `json:"left,omitempty"`
	// Promotes is what a promotion would do now; zero if there is nothing that a person may
	// spare it.
	Promotes RolloutPromotion `json:"promotes,omitzero"`
}

// Total counts the hosts of all waves together; it has no name and no times.
func (r RolloutView) Total() (n RolloutWave) {
	for _, w := range r.Waves {
		n.Hosts += w.Hosts
		n.Waiting += w.Waiting
		n.Published += w.Published
		n.Deferred += w.Deferred
		n.Offline += w.Offline
		n.Silent += w.Silent
		n.Succeeded += w.Succeeded
		n.Failed += w.Failed
		n.Overtaken += w.Overtaken
	}
	return n
}

// A RolloutWave is the hosts that go together, counted. Hosts is the sum of what
// follows it.
type RolloutWave struct {
	Name    string    `json:"name"`
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`

	Hosts     int `json:"hosts"`
	Waiting   int `json:"waiting"`
	Published int `json:"published"` // without a verdict yet
	Deferred  int `json:"deferred"`  // wait for something of their own, and nobody for them
	Offline   int `json:"offline"`
	Silent    int `json:"silent"`
	Succeeded int `json:"succeeded"`
	Failed    int `json:"failed"`
	Overtaken int `json:"overtaken"` // something else was published for them since
}

// A RolloutHost is one host of a rollout.
type RolloutHost struct {
	Host     HostName         `json:"host"`
	Wave     string           `json:"wave,omitempty"` // empty while it is in none
	State    RolloutHostState `json:"state"`
	Toplevel StorePath        `json:"toplevel"`
	Serial   Serial           `json:"serial,omitempty"` // of the assignment, once published
	Verdict  Verdict          `json:"verdict,omitempty"`
	Since    time.Time        `json:"since"`           // in this state
	Before   StorePath        `json:"before,omitzero"` // what it had before, once published
	// Changes is how Toplevel differs from what the host ran when it was built; nil if
	// that is not known. It names no packages.
	Changes *Changes     `json:"changes,omitempty"`
	Waits   *RolloutWait `json:"waits,omitempty"` // nil if it waits for nothing
}

// A RolloutWait is what a host of a rollout waits for: in a word, and in a sentence;
// and until when, if that is known.
type RolloutWait struct {
	For     Reason    `json:"for"`
	Message string    `json:"message,omitempty"`
	Until   time.Time `json:"until,omitzero"`
}

// A RolloutHold is what a person keeps from going out, and why: new systems for one
// host, or, if Host is zero, those of a channel, or of all channels if that is empty,
// too. It outlasts rollouts.
type RolloutHold struct {
	Host    HostName  `json:"host,omitzero"`
	Channel string    `json:"channel,omitempty"`
	Reason  string    `json:"reason"`
	By      string    `json:"by"`
	Since   time.Time `json:"since"`
}

// A RolloutListRequest asks for the rollouts of a channel, or of all.
type RolloutListRequest struct {
	Channel string `json:"channel,omitempty"`
}

// A RolloutListReply has the rollouts that are remembered, those under way first, then
// the newest first; and what is held.
type RolloutListReply struct {
	Rollouts []RolloutView `json:"rollouts"`
	Holds    []RolloutHold `json:"holds,omitempty"`
}

// A RolloutShowRequest asks for one rollout: that with an ID, or the current one of a
// channel, which need not be named if there is only one. It waits as a [FleetRequest]
// does.
type RolloutShowRequest struct {
	Rollout string        `json:"rollout,omitempty"` // an ID, or a channel
	After   uint64        `json:"after,omitempty"`
	Wait    time.Duration `json:"wait,omitempty"`
	Limit   int           `json:"limit,omitempty"` // of hosts, at most 1000; zero is as many as a reply holds
	// Continue is that of the page before, of which this one is the next; it does not
	// wait. Rollout should then be the ID: of a channel it may be another one by now.
	Continue HostName `json:"continue,omitzero"`
}

// A RolloutShowReply is one rollout, with its hosts, or a page of them, in the order in
// which they go.
type RolloutShowReply struct {
	Version uint64        `json:"version"`
	Rollout RolloutView   `json:"rollout"`
	Hosts   []RolloutHost `json:"hosts"`
	// Continue is what to send for the next page; empty if there are no more hosts.
	Continue HostName `json:"continue,omitzero"`
}

// A RolloutPlanRequest asks who goes when, and why not yet, in the current rollout of a
// channel, which need not be named if there is only one.
type RolloutPlanRequest struct {
	Rollout  string   `json:"rollout,omitempty"` // an ID, or a channel
	Limit    int      `json:"limit,omitempty"`   // as in a [RolloutShowRequest]
	Continue HostName `json:"continue,omitzero"` // as there
}

// A RolloutPlanReply has the hosts that have not come to a verdict yet, or a page of them,
// in the order in which they go.
type RolloutPlanReply struct {
	Rollout  RolloutView   `json:"rollout"`
	Hosts    []RolloutHost `json:"hosts"`
	Continue HostName      `json:"continue,omitzero"` // as in a [RolloutShowReply]
	Holds    []RolloutHold `json:"holds,omitempty"`
}

// A RolloutAct is what a person does to a rollout.
type RolloutAct string

// The acts.
const (
	RolloutActPause   RolloutAct = "pause"   // nobody goes any more until resumed
	RolloutActResume  RolloutAct = "resume"  // ends a pause
	RolloutActPromote RolloutAct = "promote" // ends a soak, or grants an approval
	RolloutActAbort   RolloutAct = "abort"   // ends it; hosts keep what they have
	RolloutActRetry   RolloutAct = "retry"   // a halted one goes on; who failed gets another try
	RolloutActRevert  RolloutAct = "revert"  // who went gets back what it had
	RolloutActHold    RolloutAct = "hold"    // nothing new goes to Hosts
	RolloutActRelease RolloutAct = "release" // ends that
	RolloutActFreeze  RolloutAct = "freeze"  // nothing new goes to the channel, or to any
	RolloutActThaw    RolloutAct = "thaw"    // ends that
)

// RolloutActs returns every act.
func RolloutActs() []RolloutAct {
	return []RolloutAct{
		RolloutActPause, RolloutActResume, RolloutActPromote, RolloutActAbort, RolloutActRetry, RolloutActRevert,
		RolloutActHold, RolloutActRelease, RolloutActFreeze, RolloutActThaw,
	}
}

// Audit returns what the audit calls the act, such as rollout-pause.
func (a RolloutAct) Audit() Act { return Act("rollout-" + string(a)) }

// UnmarshalText refuses an act that is not known.
func (a *RolloutAct) UnmarshalText(b []byte) error {
	v, err := parseEnum("act", b, RolloutActs())
	if err != nil {
		return err
	}
	*a = v
	return nil
}

// A RolloutPromotion is what [RolloutActPromote] does: it ends one pause of one wave. Zero
// is nothing.
type RolloutPromotion struct {
	Wave int          `json:"wave"`           // its index
	Ends RolloutPause `json:"ends,omitempty"` // approval, canary-soak or soak
}

// A RolloutPause is what a wave waits for that a person may spare it.
type RolloutPause string

// The pauses.
const (
	RolloutPauseApproval   RolloutPause = "approval"
	RolloutPauseCanarySoak RolloutPause = "canary-soak"
	RolloutPauseSoak       RolloutPause = "soak"
)

// RolloutPauses returns every pause.
func RolloutPauses() []RolloutPause {
	return []RolloutPause{RolloutPauseApproval, RolloutPauseCanarySoak, RolloutPauseSoak}
}

// Of names the pause of a wave, in words.
func (p RolloutPause) Of(wave string) string {
	what := string(p)
	if p == RolloutPauseCanarySoak {
		what = "soak of the canary"
	}
	return "the " + what + " of wave " + wave
}

// UnmarshalText refuses a pause that is not known.
func (p *RolloutPause) UnmarshalText(b []byte) error {
	v, err := parseEnum("pause", b, RolloutPauses())
	if err != nil {
		return err
	}
	*p = v
	return nil
}

// MaxActReason limits the reason of an act, in bytes: it is shown with every host that it
// holds back.
const MaxActReason = 1 << 10

// A RolloutActRequest asks for an act.
type RolloutActRequest struct {
	Act RolloutAct `json:"act"`
	// Rollout is an ID, which must be that of the current rollout of its channel, or a
	// channel, which need not be named if there is only one. For hold and release it
	// is empty; for freeze and thaw it is a channel, and empty is all of them.
	Rollout string     `json:"rollout,omitempty"`
	Hosts   []HostName `json:"hosts,omitempty"`  // to hold, or to release
	Reason  string     `json:"reason,omitempty"` // required to hold and to freeze; at most 1024 bytes
	// To is what to revert to: the ID of an earlier rollout of the channel, or its
	// revision, in whole or the beginning of it. Empty is what the hosts had before.
	To string `json:"to,omitempty"`
	// Promotes is what to promote, as [RolloutView] has it: if the rollout waits for
	// something else by then, that is a conflict, and nothing is done. So two people, or
	// two tries, who want the same do it once. Nil is whatever it waits for.
	Promotes *RolloutPromotion `json:"promotes,omitempty"`
}

// A RolloutActReply says how things stand after the act.
type RolloutActReply struct {
	Rollout *RolloutView  `json:"rollout,omitempty"` // nil for what concerns no rollout
	Holds   []RolloutHold `json:"holds,omitempty"`
	// Again is true if that was so already: nothing was done, nor is it in the audit.
	Again bool `json:"again,omitempty"`
}
