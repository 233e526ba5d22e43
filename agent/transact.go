package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"kedge/agent/internal/closure"
	"kedge/agent/internal/machine"
	"kedge/agent/internal/statefile"
	"kedge/agent/internal/systemd"
	"kedge/agent/internal/transaction"
	"kedge/internal/nix"
)

// TransactOptions is what a transaction's process needs. Everything else is in
// the record.
type TransactOptions struct {
	StateDir   string       // required
	RuntimeDir string       // required
	Log        *slog.Logger // required
}

// Transact settles the deployment that the record names: it goes on from
// wherever the record stands, to committed or back. A record that is settled
// already is left alone.
//
// It returns nil when the record is settled, and when ctx ended: then the
// record says how far it came. Any other error means that it should be run
// again.
func Transact(ctx context.Context, o TransactOptions) error {
	files := statefile.Dir{State: o.StateDir, Runtime: o.RuntimeDir}
	if err := files.Prepare(); err != nil {
		return fmt.Errorf("prepare state directories: %w", err)
	}
	lock, err := files.LockTransaction()
	if err != nil {
		return err
	}
	d, err := files.Deployment()
	if err != nil {
		return errors.Join(err, lock.Unlock())
	}
	o.Log.InfoContext(ctx, "transaction begins", "deployment", d.ID, "phase", d.Phase, "toplevel", d.Toplevel)
	d, err = transaction.Run(ctx, d, transaction.Options{
		Host: machine.New(machine.Options{
			Files:   files,
			Nix:     &nix.CLI{Log: o.Log},
			Systemd: &systemd.Client{},
			Log:     o.Log,
		}),
		Store: machine.Store{Files: files, Roots: closure.Roots{Dir: closure.DefaultRoots}},
		Log:   o.Log,
	})
	if ctx.Err() != nil {
		o.Log.InfoContext(ctx, "transaction was asked to leave; it goes on when it is started again", "deployment", d.ID, "phase", d.Phase)
		err = nil
	}
	return errors.Join(err, lock.Unlock())
}
