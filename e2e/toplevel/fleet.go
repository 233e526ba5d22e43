package toplevel

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	nixosmodule "kedge/nixos-module"
)

//go:embed fleet/*.nix nix/*.nix
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
	for name, content := range flake {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return fmt.Errorf("write fleet: %w", err)
		}
		if err := os.WriteFile(file, content, 0o644); err != nil {
			return fmt.Errorf("write fleet: %w", err)
		}
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
	for from, to := range map[string]string{"fleet": ".", "nix": "lib"} {
		entries, err := fs.ReadDir(files, from)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			content, err := files.ReadFile(path.Join(from, e.Name()))
			if err != nil {
				return nil, err
			}
			flake[path.Join(to, e.Name())] = content
		}
	}
	return flake, nil
}
