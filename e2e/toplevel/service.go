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

// ControllerService returns kedge-controller.service as the NixOS module has it, but for its PATH, to
// run the program in the folder prefix/bin. The Nix on the machine's disk renders it, as it renders the
// units of a Fleet.
func ControllerService(ctx context.Context, m Machine, prefix string) (Service, error) {
	renderer, err := files.ReadFile("nix/unit.nix")
	if err != nil {
		return Service{}, fmt.Errorf("render kedge-controller.service: %w", err)
	}
	expression := fmt.Sprintf(`{ package }:
let
  unit = (%s) { inherit package; };
in
{
  text = (%s).render "kedge-controller.service" unit;
  inherit (unit) wantedBy;
}`, nixosmodule.ControllerUnit, renderer)
	out, err := m.RunOffline(ctx, "nix-instantiate", "--eval", "--strict", "--json", "--argstr", "package", prefix, "--expr", expression)
	if err != nil {
		return Service{}, fmt.Errorf("render kedge-controller.service: %w", err)
	}
	var s Service
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		return Service{}, fmt.Errorf("render kedge-controller.service: %w", err)
	}
	return s, nil
}
