// Package toplevel makes NixOS-like systems for the test hosts: a flake without nixpkgs whose
// toplevels keep the activation contract of NixOS (switch-to-configuration and its exit codes,
// activation script, stage 2, boot entries, pre-switch checks and inhibitors) on top of a machine that
// brings its own systemd.
//
// The other way to such systems is a user's own flake, such as examples/fleet: WriteNixpkgs makes the flake that
// is its nixpkgs then.
//
// A test says what its hosts shall be in a Fleet and writes it as a flake (Fleet.Write). The programs
// of the toplevels are Go programs of this folder (BuildTools): they do what NixOS's own do, also where that is
// inconvenient.
package toplevel
