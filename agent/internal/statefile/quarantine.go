package statefile

import (
	"slices"
	"time"

	"kedge/proto"
)

// QuarantineLifetime is how long a toplevel that failed is not tried again on
// its host: long enough that it does not come back every few minutes, short
// enough that what was fixed outside the system heals without anybody's help.
const QuarantineLifetime = 24 * time.Hour

// A Quarantine keeps one toplevel from being tried again on this host.
type Quarantine struct {
	Toplevel proto.StorePath `json:"toplevel"`
	Reason   proto.Reason    `json:"reason"` // why it failed, or that it was deployed too often
	Since    time.Time       `json:"since"`
	Until    time.Time       `json:"until"`
}

// inForce reports whether q counts at now. A clock that was set back ends no
// quarantine, and prolongs none: it never holds for longer than its lifetime
// in either direction.
func (q Quarantine) inForce(now time.Time) bool {
	return now.Before(q.Until) && now.After(q.Since.Add(-QuarantineLifetime))
}

type quarantines struct {
	Entries []Quarantine `json:"entries"`
}

// Quarantines returns the quarantines in force at now, sorted by toplevel.
func (d Dir) Quarantines(now time.Time) ([]Quarantine, error) {
	all, err := read(document[quarantines](d, quarantineFile))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all.Entries, func(q Quarantine) bool { return !q.inForce(now) }), nil
}

// Quarantined returns the quarantine of toplevel that is in force at now, and
// whether there is one.
func (d Dir) Quarantined(toplevel proto.StorePath, now time.Time) (Quarantine, bool, error) {
	all, err := d.Quarantines(now)
	if err != nil {
		return Quarantine{}, false, err
	}
	i := slices.IndexFunc(all, func(q Quarantine) bool { return q.Toplevel == toplevel })
	if i < 0 {
		return Quarantine{}, false, nil
	}
	return all[i], true, nil
}

// Quarantine keeps toplevel away for [QuarantineLifetime] from now on, durably.
// It replaces an earlier quarantine of the same toplevel and forgets those that
// are over.
func (d Dir) Quarantine(toplevel proto.StorePath, why proto.Reason, now time.Time) error {
	return d.changeQuarantines(now, toplevel, Quarantine{
		Toplevel: toplevel, Reason: why, Since: now, Until: now.Add(QuarantineLifetime),
	})
}

// Lift ends the quarantine of toplevel, if there is one, durably. If the record's
// deployment ended with it, nothing keeps that from another attempt. The
// transaction's lock must be held.
func (d Dir) Lift(toplevel proto.StorePath, now time.Time) error {
	r, err := d.Deployment()
	if err != nil {
		return err
	}
	if r.Terminal() && (toplevel == r.Toplevel || toplevel == r.System()) {
		r.Lifted = true
		if err := d.Save(r); err != nil {
			return err
		}
	}
	return d.changeQuarantines(now, toplevel)
}

// changeQuarantines puts the given ones in the place of those of toplevel.
func (d Dir) changeQuarantines(now time.Time, toplevel proto.StorePath, instead ...Quarantine) error {
	all, err := d.Quarantines(now)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(q Quarantine) bool { return q.Toplevel == toplevel })
	all = append(all, instead...)
	slices.SortFunc(all, func(a, b Quarantine) int { return a.Toplevel.Compare(b.Toplevel) })
	return d.WithReserve(func() error { return document[quarantines](d, quarantineFile).Write(quarantines{Entries: all}) })
}
