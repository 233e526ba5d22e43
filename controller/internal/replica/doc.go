// Package replica shares a controller's state with the other controllers of its fleet:
// each file of it that another one needs is also a key in NATS.
//
// NATS is not trusted: what is there is sealed with a key that only the controllers
// have, and bound to its name. A file has a version that grows with every change; the
// highest one that was seen of each is remembered on the disk, so that a bus that lost
// something, or was put back, never takes a file back. What it lacks is put there again
// by who leads next.
//
// What does not fit into one key is there in pieces, and the key says which. They are in
// one of two places in turn, so that what is written leaves what can be read as it is.
//
// Only the leader writes, by compare-and-set, and not with less of its lease left than
// that may take. A write that NATS did not take did not happen: who could not make one
// must not lead on, since another one leads, or will.
package replica
