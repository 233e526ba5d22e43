// Package source follows one branch of one git repository, and hands its
// newest revision to Nix.
//
// Revisions are fetched into a repository of our own, in the state directory, or
// borrowed from where they are if that is this machine and they need no signature.
// Nix reads them from there, from git's objects and without a working tree:
// pure by construction, and the fastest of the ways that were tried. (A bare
// repository Nix 2.26 would first clone, which takes 0.4 s; exporting each
// revision into a directory takes 0.06 s more and leaves directories behind.)
// Of a repository without a flake Nix is given one that we make around it. Its
// submodules our git fetches, so that Nix goes nowhere with our keys; then Nix is given
// a directory with all files, or, without a flake, a commit of ours.
//
// Any git 2.31 or newer does. It never asks anything: a password or an unknown
// host key is an error. [Credentials] come from files, or from where git
// finds them (ssh keys, credential helpers), not from the URL, so that they are in no command line
// and in no log.
package source
