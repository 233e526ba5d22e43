// Package build turns a flake into the toplevels of its hosts.
//
// [Builder.Evaluate] evaluates a few hosts in one process, because starting Nix
// and reading the flake costs more than most hosts do, and many of them in several
// side by side, each with so much memory and no more: with nix-eval-jobs where
// there is one, or a few hosts at a time. Hosts that fail there, and all hosts of a
// process that fails, are evaluated one by one, so that a host's failure is its own
// and has its own message. What a revision evaluated to is kept. [Builder.Build]
// builds all of them in one process, and goes on when some fail.
//
// In the process of all hosts, what the flake says about its rollouts is
// evaluated, too; see [kedge/internal/spec]. If that cannot be used, nothing of
// the flake can be.
//
// Every toplevel has a root before it exists: a link in a directory of the host
// among Nix's GC roots. The last few toplevels of each host stay rooted.
package build
