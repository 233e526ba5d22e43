// Package bus carries the contract of package proto over NATS: it connects,
// and then reads and writes desired states, statuses, events, heartbeats and
// the calls of the operator API.
//
// A [Conn] is one connection that keeps itself alive for ever. On top of it
// stand three views: [Host] is what an agent may do, [Fleet] what a controller
// may do, [Call] and [Service] are the two ends of the operator API. Which of
// them works is decided by the credentials, and enforced by the server.
//
// # What to rely on
//
// Messages are hints and may be lost, doubled or late: a doorbell says that
// it is worth looking, a feed starts again from the whole state after every
// reconnection, and whatever must arrive is a request whose answer says that it
// was stored. Nothing here is to be trusted: see package proto.
//
// # Errors
//
// Callers branch on [ErrNotConnected], [ErrTimeout] and [ErrNoResponders] (try
// again later: [Transient]), [ErrDenied] and [ErrTooLarge] (do not),
// [ErrConflict] (look again, then decide), [ErrNoDesired] and [ErrNotFound]
// (there is none). What the other end reports is an [APIError]: one with
// [CodeUnavailable] may be otherwise later, and one that is Unbegun at once.
package bus
