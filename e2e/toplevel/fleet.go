package toplevel

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	nixosmodule "kedge/nixos-module"
)

//go:embed fleet/*.nix nix/*.nix nixpkgs/*.nix
var files embed.FS

// A Fleet is a flake with a NixOS-like configuration for each host. The zero value has no host.
//
// Store paths in it enter the closures as they are: whoever builds the flake has put them into the
// build host's store before.
type Fleet struct {
	Tools            string          `json:"tools,omitempty"` // store path of what BuildTools made; required if there are hosts
	Hosts            map[string]Host `json:"hosts,omitempty"`
	NoConfigurations bool            `json:"noConfigurations,omitempty"` // a flake without nixosConfigurations
	Kedge            map[string]any  `json:"kedge,omitempty"`            // the output of that name, as JSON; none if nil
}

// Write writes the flake into the folder dir, which is made if there is none, over what an earlier
// Write left there. Everything that differs between fleets is in hosts.json.
func (f Fleet) Write(dir string) error {
	hosts, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("write fleet: %w", err)
	}
	flake, err := static()
	if err != nil {
		return fmt.Errorf("write fleet: %w", err)
	}
	flake["hosts.json"] = append(hosts, '\n')
	if err := write(dir, flake); err != nil {
		return fmt.Errorf("write fleet: %w", err)
	}
	return nil
}

// static are the files of every fleet, by name in the flake.
func static() (map[string][]byte, error) {
	flake := map[string][]byte{
		"lib/agent-unit.nix":    []byte(nixosmodule.AgentUnit),
		"lib/trial-unit.nix":    []byte(nixosmodule.TrialUnit),
		"lib/boot-complete.nix": []byte(nixosmodule.BootComplete),
	}
	return flake, errors.Join(add(flake, ".", files, "fleet"), add(flake, "lib", files, "nix"))
}

// add adds the files of a folder to a flake, below the folder to.
func add(flake map[string][]byte, to string, from fs.FS, folder string) error {
	entries, err := fs.ReadDir(from, folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		content, err := fs.ReadFile(from, path.Join(folder, e.Name()))
		if err != nil {
			return err
		}
		flake[path.Join(to, e.Name())] = content
	}
	return nil
}

// write writes a flake into the folder dir, which is made if there is none.
func write(dir string, flake map[string][]byte) error {
	for name, content := range flake {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
