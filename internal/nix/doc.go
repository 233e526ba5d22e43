// Package nix runs the Nix command line, 2.18 or newer.
//
// What touches the store goes through nix-daemon, or through nix-store, whose output and
// whose protocol for other machines (nix-store --serve) have been stable for a
// decade; of the experimental commands only `nix copy` and
// `nix eval` are used, and no JSON of theirs but what an expression of ours
// evaluates to. What a [User] evaluates can read what that account can; sources
// that are added by AddSource need Nix 2.25. Store paths arrive as [proto.StorePath] and stand after "--",
// so that none can be taken for an option.
//
// Profiles are links, which are read and changed without running anything; see
// [Generations] and [Links].
package nix
