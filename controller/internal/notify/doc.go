// Package notify tells people, and programs, what a fleet has come to that somebody
// should know.
//
// It goes by what is, not by what happens: [InForce] says what of the fleet as it is now
// is worth telling, and every destination is told what it was not told before. What it was
// told is durable. So a controller that was away tells what came meanwhile, one that takes
// over tells nothing again, and a destination that does not answer costs a few names. What
// is over by the time that it can be told is not told any more.
//
// A message may arrive twice: a controller may end between telling and noting it.
package notify
