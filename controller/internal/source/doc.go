// Package source follows one branch of one git repository, and hands its
// newest revision to Nix.
//
// Revisions are fetched into a repository of our own, in the state directory, or
// borrowed from where they are if that is this machine and they need no signature.
// From there one git reads them, object by object, each compared with its name, and
// they are added to the Nix store without a working tree: whoever evaluates them need not
// be able to read our copy, and Nix copies nothing once more.
// Of a repository without a flake Nix is given one that we make around it. Its
// submodules our git fetches, so that Nix goes nowhere with our keys.
//
// Any git 2.31 or newer does. It never asks anything: a password or an unknown
// host key is an error. [Credentials] come from files, or from where git
// finds them (ssh keys, credential helpers), not from the URL, so that they are in no command line
// and in no log.
package source
