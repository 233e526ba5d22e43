package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/agent/internal/systemd"
	"kedge/proto"
)

// Settings of a transaction's unit.
const (
	guardRestart = time.Second // after it was killed
	// guardStop is how long the unit may take to note that the host goes down.
	guardStop  = 5 * time.Second
	guardScore = -900 // OOMScoreAdjust: nearly the last to go
	// guardPatience is how long systemd may take to start it: the reconciler
	// waits meanwhile, and asks again later.
	guardPatience = 30 * time.Second
	// oneProcessor spares a program that mostly waits the waking of others, and
	// guardSlack most of the looks that Go's runtime takes at itself, each of
	// them a wake-up of its own: 20 µs apart where anything runs, and up to this
	// far apart where nothing does. What the transaction runs has the usual slack.
	oneProcessor = "GOMAXPROCS=1"
	guardSlack   = 10 * time.Millisecond
)

// A systemdGuard runs each transaction as a transient unit of PID 1, started
// again until its record is settled.
//
// The flags that it passes are read by the agent of the proven system, which
// may be older: a flag may be used once every agent that one can go back to
// knows it.
type systemdGuard struct {
	systemd units
	own     string // path of this agent's binary
	files   statefile.Dir
	path    string // PATH of the transaction
	ended   int    // how often in a row the unit was seen between two runs, with the lock free
}

// units is what a guard asks of systemd; *systemd.Client is it.
type units interface {
	Unit(ctx context.Context, name string) (systemd.Unit, error)
	ResetFailed(ctx context.Context, name string) error
	StartTransient(ctx context.Context, u systemd.TransientUnit) error
	StopUnit(ctx context.Context, name string) error
	Rest()
}

// Ensure implements [Guard]. A transaction that has begun and runs has the lock:
// then PID 1, for which each question is some work, is not asked.
func (g *systemdGuard) Ensure(ctx context.Context, d deployment.Deployment) error {
	if d.Phase != proto.PhaseFetched {
		locked, err := g.files.TransactionLocked()
		if locked {
			g.ended = 0
		}
		if locked || err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, guardPatience)
	defer cancel()
	defer g.systemd.Rest()
	if d.Phase == proto.PhaseFetched {
		// Nothing runs yet, as a rule: then starting it is all there is to say.
		if err := g.start(ctx, d); !errors.Is(err, systemd.ErrUnitExists) {
			return err
		}
	}
	if d.Phase == proto.PhaseArmed || d.Trial || d.RollbackBoots > 0 {
		// Since a boot it may be in the hands of the unit that began early in it.
		u, err := g.systemd.Unit(ctx, trialUnit)
		if err == nil && runs(u) && !u.AutoRestarting() {
			return nil
		}
	}
	u, err := g.systemd.Unit(ctx, d.Unit())
	if err != nil {
		return err
	}
	if u.AutoRestarting() {
		return g.endsAgain(ctx, d)
	}
	g.ended = 0
	if runs(u) {
		return nil
	}
	if err := g.systemd.ResetFailed(ctx, d.Unit()); err != nil {
		return err
	}
	if err := g.start(ctx, d); !errors.Is(err, systemd.ErrUnitExists) {
		return err
	}
	return nil // somebody was faster
}

// maxEnded is how often a transaction's unit may be seen between two runs.
const maxEnded = 3

// endsAgain is for a transaction that ended and is about to be started again: once it
// was killed, but if that goes on its program cannot run. Then it gets this agent's.
func (g *systemdGuard) endsAgain(ctx context.Context, d deployment.Deployment) error {
	if g.ended++; g.ended < maxEnded {
		return nil
	}
	g.ended = 0
	if err := g.systemd.StopUnit(ctx, d.Unit()); err != nil {
		return err
	}
	program := d.Agent
	d.Agent = g.own
	if err := g.start(ctx, d); err != nil && !errors.Is(err, systemd.ErrUnitExists) {
		return err
	}
	return fmt.Errorf("%s ended again and again before it did anything, see journalctl --unit %s; %s goes on in place of %s", d.Unit(), d.Unit(), g.own, program)
}

// trialUnit is in every toplevel; see nixos-module/trial-unit.nix.
const trialUnit = "kedge-trial.service"

// runs reports whether u runs, or is about to be started again.
func runs(u systemd.Unit) bool {
	switch u.ActiveState {
	case systemd.Active, systemd.Activating, systemd.Reloading, systemd.Deactivating:
		return true
	case systemd.Inactive, systemd.Failed, systemd.Maintenance:
	}
	return false
}

// start starts d's transaction; [systemd.ErrUnitExists] if its unit is there.
func (g *systemdGuard) start(ctx context.Context, d deployment.Deployment) error {
	return g.systemd.StartTransient(ctx, systemd.TransientUnit{
		Name:           d.Unit(),
		Description:    fmt.Sprintf("Kedge deployment %s of %s", d.ID, d.Toplevel.Base()),
		ExecStart:      g.command(d),
		Environment:    []string{"PATH=" + g.path, oneProcessor},
		Restart:        "on-failure",
		RestartDelay:   guardRestart,
		StopTimeout:    guardStop,
		OOMScoreAdjust: guardScore,
		TimerSlack:     guardSlack,
	})
}

// command is what runs d's transaction: the proven system's binary. If that is
// gone (it was the agent of a system that a person replaced, and that was
// collected since), our own is better than none: d has to be settled.
func (g *systemdGuard) command(d deployment.Deployment) []string {
	binary := d.Agent
	if _, err := os.Stat(binary); errors.Is(err, fs.ErrNotExist) {
		binary = g.own
	}
	return []string{binary, "transact", "--deployment", d.ID, "--state-dir", g.files.State, "--runtime-dir", g.files.Runtime}
}
