// Package fleet is a whole Kedge installation on one machine, for scenarios
// and for the demo: a build host with the controller, git and Nix, and hosts
// with the agent, each with a real systemd and behind a NAT of its own.
//
// A scenario reads like what an operator would say:
//
//	f := fleet.MustUp(t, fleet.Options{Hosts: []string{"web1", "db1"}})
//	rev := f.MustPush(t, "a broken service", func(w *toplevel.Fleet) { … })
//	f.Host("web1").MustAwaitPhase(t, rev, proto.PhaseCommitted)
//
// With [Options.Example] the fleet is that of examples/fleet, whose files change
// ([Fleet.PushChanges]).
//
// What a host is asked it is asked itself: [Host.Facts] reads its links, its
// units and its boot loader, never Kedge's own word.
package fleet
