// Package lease says which hosts may reboot now: so many at a time, and no more,
// whatever controllers and hosts do.
//
// The semantics are those of FleetLock. A lease belongs to a host: who has one is
// granted it again, and giving back what one has not is no failure. A host that
// disappears with a lease keeps it. That is what it is for: a broken host stops the
// next ones from rebooting into the same, until an operator frees the lease, or, if
// that is configured, until it is old and another host needs it.
//
// Who has leases is one key in NATS, changed by compare-and-set, so that several
// controllers give out no more than one would. It is trusted with nothing else:
// whoever can write it can make hosts reboot together, or not at all.
package lease
