// Package nixosmodule carries those of the NixOS module's files that the test hosts' systems are made
// of as well.
package nixosmodule

import _ "embed" // for agent-unit.nix

// AgentUnit is the text of agent-unit.nix, the unit of kedge-agent.
//
//go:embed agent-unit.nix
var AgentUnit string
