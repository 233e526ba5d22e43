// Package rollout decides which host may get a revision now.
//
// It is pure: [Plan] makes a rollout of what a flake says about it, [Next] looks
// at the rollout, the fleet and the time, and says what to do; [Rollout.Apply]
// returns the rollout after it was done; [Rollout.Pause] and its like return it
// after a person did something; [Explain] says who goes when, and why not yet.
// Whoever runs a rollout carries out the actions, asks again until there are none,
// and saves the rollout then, and before anything is published:
//
//	for each change of the fleet, and now and then:
//		for actions := Next(r, fleet, now); len(actions) > 0; actions = Next(r, fleet, now) {
//			if they publish { save r }
//			carry out the actions; r = r.Apply(what was done, now)
//		}
//		save r
//
// A crash at any point costs nothing: what was decided is durable before its first
// effect, and an effect that was carried out and not saved shows in the fleet, so
// that Next does not ask for it again. What a person did is done to what
// [Rollout.Recall] returns, and saved before they are told.
//
// # Waves
//
// Waves go one after the other: those of the spec, then the rest, then the
// controller's own host, alone. A host goes with the first wave that selects it.
// Whose members they are is fixed when a wave starts: the hosts that it selects,
// without those that were never heard of and those that are held. These go with
// the rest. Whoever joins when its wave has started goes in another one like it.
//
// A wave that has a canary goes in two steps: some of its hosts, and, once they
// are through and soaked, the others. Where a spec asks for a number, they are
// chosen by a hash of the revision and the host's name from those that are
// online and get something new, and were heard of since hosts are listened to if those
// are enough; so that a retry has the same and another revision has others. Where it
// names them and none of those is online, or could be built, one host is chosen in the same
// way; and so is one of the next wave where no host could be built of one that soaks. So are
// others, once the canary is through, if nobody of it came to anything: all turned out to
// be offline, were overtaken, are held, or wait for something of their own and cannot be
// heard.
//
// A wave ends when everybody in it is through and nobody has changed for as long
// as it soaks. Hosts that had the toplevel already are through without soaking, and so
// are those that get back what they had before the revision before; unless another
// rollout took over while that soaked: the rest of it, or all of it, is waited for. A
// wave in which nobody gets anything new needs no approval and no window.
//
// # Hosts
//
// A host is through when it came to a verdict, when it was offline when it was
// published to, or when it fell silent. Offline hosts hold nothing up; they
// converge when they come back, and are charged to their wave if they then fail,
// as long as the rollout lasts. A host is silent if it was online, and then was
// not heard of, or said nothing about its assignment, for as long as the spec
// allows. An inconclusive verdict is no verdict, for its agent tries again, and neither
// is a failure that it says it tries again after, such as that of a fetch; after half
// an hour without a better one it is a failure. Nor is anybody waited for longer who waits
// for something of its own, such as a window, a lease or a person: it is charged like an
// offline host then. Only a canary has to show something. A held host is not published to, and
// nobody waits for it; released, it goes with the rest, or, if that has gone, is
// [Rollout.Left] for another rollout. Who was taken for online by a controller that had
// just started, and turns out to have been offline, counts as that as soon as it is known.
//
// Whoever is assigned the same toplevel under a higher serial, because the controller's
// clock had been wrong and it was signed anew, say, has the same assignment still: it is
// waited for, and stays charged. Only who is assigned something else is overtaken.
//
// # Budgets
//
// Each wave that was started is charged for its failed and silent hosts, as
// percentages of its members; its canary, likewise, as percentages of the
// canaries, of which one must succeed in any case. A host that had the toplevel already is charged like any other: it
// shows what the toplevel does. When a budget is broken nobody else is published
// to; the rollout halts, or reverts. Halted, it still takes verdicts, and goes on
// when a person says so, with another try for those who failed.
//
// # A hush
//
// When most of those who could be heard fall silent at once, it is not they who are off,
// and they must not all get something new when they are back: nobody is published to, nor
// does a wave start that has anything new for somebody, until enough can be heard again, or
// have been silent for a day. A few offline hosts are no hush.
//
// # Reverting
//
// Whoever was published to gets back what it had before, all at once but for the
// limit of the wave that was under way, the controller's own host alone and last.
// Canaries, soaks, approvals, windows, freezes and hushes do not count; holds do. Left
// alone is who had nothing before, and for whom somebody else has published since.
// Who was held meanwhile goes back when the rollout is reopened for that.
// After a revert that was aborted, another one gives back what that did not come to.
package rollout
