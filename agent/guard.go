package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kedge/agent/internal/deployment"
	"kedge/agent/internal/systemd"
)

// Settings of a transaction's unit.
const (
	guardRestart = time.Second // after it was killed
	// guardStop is how long the unit may take to note that the host goes down.
	guardStop  = 5 * time.Second
	guardScore = -900 // OOMScoreAdjust: nearly the last to go
)

// A systemdGuard runs each transaction as a transient unit of PID 1, started
// again until its record is settled.
type systemdGuard struct {
	systemd    *systemd.Client
	stateDir   string
	runtimeDir string
	path       string // PATH of the transaction
}

// Ensure implements [Guard].
func (g systemdGuard) Ensure(ctx context.Context, d deployment.Deployment) error {
	u, err := g.systemd.Unit(ctx, d.Unit())
	if err != nil {
		return err
	}
	switch u.ActiveState {
	case systemd.Active, systemd.Activating, systemd.Reloading, systemd.Deactivating:
		return nil // runs, or is about to be started again
	case systemd.Inactive, systemd.Failed, systemd.Maintenance:
	}
	if err := g.systemd.ResetFailed(ctx, d.Unit()); err != nil {
		return err
	}
	err = g.systemd.StartTransient(ctx, systemd.TransientUnit{
		Name:           d.Unit(),
		Description:    fmt.Sprintf("Kedge deployment %s of %s", d.ID, d.Toplevel.Base()),
		ExecStart:      []string{d.Agent, "transact", "--state-dir", g.stateDir, "--runtime-dir", g.runtimeDir},
		Environment:    []string{"PATH=" + g.path},
		Restart:        "on-failure",
		RestartDelay:   guardRestart,
		StopTimeout:    guardStop,
		OOMScoreAdjust: guardScore,
	})
	if errors.Is(err, systemd.ErrUnitExists) {
		return nil // somebody was faster
	}
	return err
}
