// Package leader lets one of several controllers act: the one that holds the lease.
//
// The lease is a record in NATS that its holder writes anew every [RenewInterval], by
// compare-and-set. Who sees the same version of it for a whole [TTL], by a clock of its
// own, may take it. Nobody's clock is compared with anybody else's: a holder counts
// from the moment before it wrote, and gives up [margin] early; the others count from
// the moment after they read. So at most one believes that it holds the lease, however
// long messages, processes and machines are held up, for as long as their clocks run
// equally fast.
//
// What is held up on its way through NATS when a lease ends still arrives: so every
// write that only a leader may make is compared-and-set, too, and does not begin with
// less of the lease left than it may take.
package leader
