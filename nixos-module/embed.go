// Package nixosmodule carries those of the NixOS modules' files that the test hosts are made of as
// well. Its tests evaluate the modules and the flake.
package nixosmodule

import "embed"

// AgentUnit is the text of agent-unit.nix, the unit of kedge-agent.
//
//go:embed agent-unit.nix
var AgentUnit string

// TrialUnit is the text of trial-unit.nix, the unit that judges a trial boot.
//
//go:embed trial-unit.nix
var TrialUnit string

// BootComplete is the text of boot-complete.nix, what is added to boot-complete.target.
//
//go:embed boot-complete.nix
var BootComplete string

// ControllerUnit is the text of controller-unit.nix, the unit of kedge-controller.
//
//go:embed controller-unit.nix
var ControllerUnit string

// StandIn are the files of the folder tests, where those stand in for nixpkgs: its lib, its packages and the
// options of NixOS.
//
//go:embed tests/*.nix
var StandIn embed.FS
