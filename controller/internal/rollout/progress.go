package rollout

import (
	"cmp"
	"time"

	"kedge/proto"
)

// A HostState is how far a rollout has come with one host. Values reach the
// disk.
type HostState string

// The states of a host in a rollout.
const (
	Waiting   HostState = "waiting"   // for its wave
	Published HostState = "published" // its assignment can be read; no verdict yet
	Settled   HostState = "settled"   // it came to a verdict
	Silent    HostState = "silent"    // it was online, and said nothing for too long
	Deferred  HostState = "deferred"  // it waits for something of its own; nobody waits for it
	Offline   HostState = "offline"   // it was offline when it was published to, and has not come to a verdict yet
)

// An Assigned is what a host was told to run; zero for nothing.
type Assigned struct {
	Toplevel proto.StorePath `json:"toplevel"`
	Release  proto.Digest    `json:"release,omitzero"` // of the release's payload
}

// Progress is how far a rollout has come with one host.
type Progress struct {
	Toplevel proto.StorePath `json:"toplevel"`
	State    HostState       `json:"state"`
	// Before is what the host goes back to: the last that it was assigned before and
	// did not fail with. Zero if there is nothing, or the host goes back already.
	Before  Assigned        `json:"before,omitzero"`
	From    proto.StorePath `json:"from,omitzero"`     // what the host goes back from, while it waits for that
	Release proto.Digest    `json:"release,omitzero"`  // of Toplevel, if the host is given that back
	Serial  proto.Serial    `json:"serial,omitempty"`  // of the assignment, once published
	After   proto.Serial    `json:"after,omitempty"`   // of the last assignment that no longer counts; zero unless it goes again
	Heard   bool            `json:"heard,omitempty"`   // it could be heard when the rollout began
	Kept    bool            `json:"kept,omitempty"`    // the host had been assigned this toplevel already
	Returns bool            `json:"returns,omitempty"` // to what the host had before the rollout before: nothing to soak for
	// Fresh is since when the host had what it had when the rollout began, if that had not
	// soaked by then.
	Fresh   time.Time     `json:"fresh,omitzero"`
	Hold    string        `json:"hold,omitempty"`    // why the spec wants nothing published for it; empty if it does
	Refused string        `json:"refused,omitempty"` // why nothing can be published for it; empty if it can
	Verdict proto.Verdict `json:"verdict,omitempty"`
	// Doubted is when the first verdict came that the host tries again after, and after
	// which there was none that is final.
	Doubted time.Time `json:"doubted,omitzero"`
	Since   time.Time `json:"since"` // in this state, with this verdict, since
}

// Held returns why the rollout itself has nothing published for the host, or nothing.
func (p Progress) Held() string { return cmp.Or(p.Hold, p.Refused) }

// moved reports whether the rollout brings the host something new.
func (p Progress) moved() bool { return p.Before.Toplevel != p.Toplevel }

// soaks returns from when on what the host was assigned soaks; zero if it need not.
func (p Progress) soaks() time.Time {
	switch {
	case p.State == Waiting, p.Returns:
		return time.Time{}
	case p.moved():
		return p.Since
	}
	return p.Fresh
}

// has reports whether h was assigned what it shall get.
func (p Progress) has(h Host) bool { return h.Toplevel == p.Toplevel && h.Serial > p.After }

// overtaken reports whether somebody published something else for h since it
// was last published to by the rollout, which it waits for to do again: neither what it
// shall get nor, signed anew, what it goes back from.
func (p Progress) overtaken(h Host) bool {
	return p.After > 0 && h.Serial > p.After && !p.has(h) && h.Toplevel != p.From
}

// assigned returns what h, which waits and may go, has been assigned already: by a
// rollout that crashed before it could say so, or by somebody else.
func (p Progress) assigned(h Host) Action {
	switch {
	case p.has(h):
		return Action{Kind: Keep, Serial: h.Serial, Offline: !h.online()}
	case p.overtaken(h):
		return Action{Kind: Settle, Verdict: proto.VerdictSuperseded}
	}
	return Action{}
}

// renewed reports whether what h was assigned under p's serial was signed anew, under a
// higher one: because the controller's clock had been wrong, say. It is no other assignment.
func (p Progress) renewed(h Host) bool { return h.Serial > p.Serial && h.Toplevel == p.Toplevel }

// verdict returns what came of the assignment in p. Once h has said something of it under
// a higher serial that one is to be in p.
func (p Progress) verdict(h Host) proto.Verdict {
	last := p.Serial
	if p.renewed(h) {
		last = h.Serial
	}
	switch {
	case h.Serial > last || h.Reported > last:
		return proto.VerdictSuperseded // somebody published something else since
	case h.Reported == p.Serial:
		return h.Verdict
	}
	return proto.VerdictPending
}

// doubtful reports whether what h came to is no verdict yet, for its agent tries again.
func doubtful(v proto.Verdict, h Host) bool {
	return v == proto.VerdictInconclusive || v == proto.VerdictFailed && h.Retries
}

// A charge is what a budget counts a host as.
type charge int

const (
	none    charge = iota // nothing came of it yet, or nothing that it could help
	success               // as its assignment asked
	failure
	silence
)

func (p Progress) charge() charge {
	switch {
	case p.State == Silent:
		return silence
	case p.State == Settled && failed(p.Verdict):
		return failure
	case p.State == Settled && succeeded(p.Verdict):
		return success
	}
	return none
}

// again returns p as it waits to be published to anew.
func (p Progress) again(now time.Time) Progress {
	return Progress{
		Toplevel: p.Toplevel, State: Waiting, Before: p.Before, Release: p.Release, After: max(p.After, p.Serial), Hold: p.Hold, Heard: p.Heard, Returns: p.Returns, Fresh: p.Fresh, Since: now,
	}
}

// back returns what h goes back to from something new: what it has if it succeeded
// with that, and otherwise what it had before. Where nothing is known of that, what
// has not failed yet will do.
func (p Progress) back(h Host) Assigned {
	said := h.Reported == h.Serial
	switch {
	case h.Toplevel.IsZero(), p.After > 0, said && failed(h.Verdict):
		return p.Before
	case p.Before.Toplevel.IsZero(), said && succeeded(h.Verdict):
		return Assigned{Toplevel: h.Toplevel, Release: h.Release}
	}
	return p.Before
}

// reverted returns p as it waits to be given back what it had before, and whether there
// is anything to give. It may wait for that already, since a revert that was aborted.
func (p Progress) reverted(now time.Time) (Progress, bool) {
	switch {
	case !p.From.IsZero():
		return p, true
	case p.State == Waiting && p.After == 0, p.Before.Toplevel.IsZero(), !p.moved():
		return p, false
	}
	p = p.again(now)
	p.From, p.Toplevel, p.Release = p.Toplevel, p.Before.Toplevel, p.Before.Release
	p.Before, p.Returns, p.Fresh = Assigned{}, false, time.Time{}
	return p, true
}

// failed and succeeded report what v says about what was assigned; that it was
// superseded says nothing.
func failed(v proto.Verdict) bool    { return v.Bad() && v != proto.VerdictSuperseded }
func succeeded(v proto.Verdict) bool { return final(v) && !v.Bad() }

// final reports whether v is a verdict.
func final(v proto.Verdict) bool { return v != proto.VerdictNone && v != proto.VerdictPending }
