package statefile

import (
	"fmt"
	"path/filepath"

	"kedge/internal/durable"
)

// trialLink names the binary that kedge-trial.service runs; see
// nixos-module/trial-unit.nix.
const trialLink = "trial"

// SetTrial has kedge-trial.service run agent, the path of a kedge-agent binary,
// in the next boots, durably.
func (d Dir) SetTrial(agent string) error {
	if err := durable.Symlink(agent, filepath.Join(d.State, trialLink)); err != nil {
		return fmt.Errorf("have the next boot run a transaction: %w", err)
	}
	return nil
}
