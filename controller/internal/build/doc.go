// Package build turns a flake into the toplevels of its hosts.
//
// [Builder.Evaluate] evaluates all hosts in one process, because starting Nix
// and reading the flake costs more than most hosts do. Hosts that fail there,
// and all hosts when that process fails, are evaluated one by one, so that a
// host's failure is its own and has its own message. [Builder.Build] builds all
// of them in one process, too, and goes on when some fail.
//
// Every toplevel has a root before it exists: a link in a directory of the host
// among Nix's GC roots. The last few toplevels of each host stay rooted.
package build
