package toplevel

import (
	"encoding/json"
	"errors"
	"fmt"

	nixosmodule "kedge/nixos-module"
)

// Built are store paths of what was built before. Whoever evaluates has put them into the store.
type Built struct {
	Tools    string `json:"tools"`    // what BuildTools made
	Agent    string `json:"agent"`    // with bin/kedge-agent
	Programs string `json:"programs"` // with every program of Kedge in bin
}

// WriteNixpkgs writes into the folder dir the flake that stands in for nixpkgs where a user's flake shall
// become systems for test hosts: its lib.nixosSystem takes Kedge's modules as they are, and the services that
// the examples have, and what Kedge's flake would build is b.
func WriteNixpkgs(dir string, b Built) error {
	built, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("write nixpkgs: %w", err)
	}
	flake := map[string][]byte{"built.json": built}
	err = errors.Join(
		add(flake, ".", files, "nixpkgs"),
		add(flake, "system", files, "nix"),
		add(flake, "stand-in", nixosmodule.StandIn, "tests"),
		write(dir, flake),
	)
	if err != nil {
		return fmt.Errorf("write nixpkgs: %w", err)
	}
	return nil
}
