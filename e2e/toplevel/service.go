package toplevel

import (
	"context"
	"encoding/json"
	"fmt"

	nixosmodule "kedge/nixos-module"
)

// A Service is a service as systemd gets it.
type Service struct {
	Text     string   `json:"text"` // the whole unit file
	WantedBy []string `json:"wantedBy"`
}

// ControllerUnit is the name of the controller's unit.
const ControllerUnit = "kedge-controller.service"

// BuildHostServices returns the units of a build host by name: kedge-controller.service as the NixOS
// module has it, but for its PATH, to run the program in the folder prefix/bin, and those of nix-daemon.
// The Nix on the machine's disk renders them, as it renders the units of a Fleet.
func BuildHostServices(ctx context.Context, m Machine, prefix string) (map[string]Service, error) {
	renderer, err := files.ReadFile("nix/unit.nix")
	if err != nil {
		return nil, fmt.Errorf("render the units of a build host: %w", err)
	}
	daemon, err := files.ReadFile("nix/daemon.nix")
	if err != nil {
		return nil, fmt.Errorf("render the units of a build host: %w", err)
	}
	expression := fmt.Sprintf(`{ package }:
builtins.mapAttrs (name: unit: {
  text = (%s).render name unit;
  wantedBy = unit.wantedBy or [ ];
}) ({ %q = (%s) { inherit package; }; } // (%s))`, renderer, ControllerUnit, nixosmodule.ControllerUnit, daemon)
	out, err := m.RunOffline(ctx, "nix-instantiate", "--eval", "--strict", "--json", "--argstr", "package", prefix, "--expr", expression)
	if err != nil {
		return nil, fmt.Errorf("render the units of a build host: %w", err)
	}
	var services map[string]Service
	if err := json.Unmarshal([]byte(out), &services); err != nil {
		return nil, fmt.Errorf("render the units of a build host: %w", err)
	}
	return services, nil
}
