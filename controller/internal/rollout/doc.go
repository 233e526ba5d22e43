// Package rollout decides which host may get a revision now.
//
// It is pure: [Next] looks at a rollout, the fleet and the time, and says what
// to do; [Rollout.Apply] returns the rollout after it was done. Whoever runs a
// rollout carries out the actions, asks again until there are none, and then
// saves the rollout:
//
//	for each change of the fleet, and now and then:
//		for actions := Next(r, fleet, now); len(actions) > 0; actions = Next(r, fleet, now) {
//			carry out the actions; r = r.Apply(what was done, now)
//		}
//		save r
//
// A crash at any point costs nothing: an effect that was carried out and not
// saved shows in the fleet, and Next does not ask for it again. A rollout that
// another one took the place of is forgotten.
//
// A wave ends when every host of it that can be heard has come to a verdict.
// Hosts that are silent hold nothing up; they converge when they come back.
// For now a rollout has one wave, with everybody.
package rollout
