package proto

import "time"

// Trust is what a host's own configuration says about keys. Nothing that comes
// over the bus can change it.
type Trust struct {
	ReleaseKeys      []PublicKey
	ReleaseThreshold int // how many release keys must have signed; below 1 counts as 1
	ControllerKeys   []PublicKey
}

// An Order is a desired state that was verified: the only thing that a host
// acts on.
type Order struct {
	Assignment Assignment
	Release    Release
	// Floor is what to remember, durably, before acting on the order, or on its
	// refusal.
	Floor Floor
}

// Verify decides whether host may act on d at the local time now. It has no
// effects, and returns the same for the same input. The error is always a
// *[RefusalError].
//
// The local time counts unless it is earlier than what was issued already:
// then the clock is not believable, and nothing is accepted. Equal (serial,
// issued) is accepted again, so that reading a state twice is harmless.
//
// A floor that was lost accepts nothing but with the reset that was made for it.
//
// The order's floor is never below the given one, unless it was lost. It is to be remembered even
// when Verify refuses: then it is all that the order holds, and it has changed
// if d withdraws releases, or resets it. What was withdrawn once stays so, however often the
// list is left out later.
func (d Desired) Verify(t Trust, host HostName, floor Floor, now time.Time) (Order, error) {
	floor, err := floor.regain(d, t, host)
	refused := Order{Floor: floor}
	if err != nil {
		return refused, RefusalOf(err)
	}
	rel, err := OpenRelease(d.Release, t.ReleaseKeys, t.ReleaseThreshold)
	if err != nil {
		return refused, RefusalOf(err)
	}
	as, err := OpenAssignment(d.Assignment, t.ControllerKeys)
	if err != nil {
		return refused, RefusalOf(err)
	}
	// of says which assignment was refused.
	of := func(err error) error {
		r := RefusalOf(err)
		r.Serial = as.Serial
		return r
	}
	if as.Host != host || rel.Host != host {
		return refused, of(refuse(ReasonWrongHost, "release is for %s and assignment for %s, this host is %s", rel.Host, as.Host, host))
	}
	digest := DigestOf(d.Release.Payload)
	if as.Release != digest {
		return refused, of(refuse(ReasonMismatch, "assignment %d names release %s, but comes with %s", as.Serial, as.Release, digest))
	}
	if err := floor.check(as, digest); err != nil {
		return refused, of(err)
	}
	if err := floor.checkTime(as, now); err != nil {
		return refused, of(err)
	}
	return Order{Assignment: as, Release: rel, Floor: floor.raise(as)}, nil
}
