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
	err := d.WithReserve(func() error { return durable.Symlink(agent, filepath.Join(d.State, trialLink)) })
	if err != nil {
		return fmt.Errorf("have the next boot run a transaction: %w", err)
	}
	return nil
}

// RemoveTrial takes back what SetTrial did, if anything.
func (d Dir) RemoveTrial() error {
	if err := durable.Remove(filepath.Join(d.State, trialLink)); err != nil {
		return fmt.Errorf("have the next boots run no transaction: %w", err)
	}
	return nil
}
