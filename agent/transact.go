package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"kedge/agent/internal/closure"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/loader"
	"kedge/agent/internal/machine"
	"kedge/agent/internal/statefile"
	"kedge/agent/internal/systemd"
	"kedge/agent/internal/transaction"
	"kedge/internal/durable"
	"kedge/internal/nix"
	"kedge/proto"
)

// TransactOptions is what a transaction's process needs. Everything else is in
// the record.
type TransactOptions struct {
	StateDir   string // required
	RuntimeDir string // required
	// Deployment is the ID of the one to settle: another one in the record is
	// left to its own unit. Empty means whichever is there and has begun.
	Deployment string
	Log        *slog.Logger // required
}

// ErrUnsettled is wrapped by the error of [Transact] when it was asked to leave
// before the deployment was settled.
var ErrUnsettled = errors.New("asked to leave before the deployment was settled; it goes on when this is started again")

// Transact settles the deployment that the record names: it goes on from
// wherever the record stands, to committed or back. What cannot be done now is
// tried again for as long as it takes.
//
// It returns nil when there is nothing for it to do, any more or at all, or when it
// cannot even begin: then it is the agent's to decide again. After any error it should be
// run again. That is so for an end by ctx, too: whoever
// ends it, but for a shutdown, must not leave the host on an unproven system.
func Transact(ctx context.Context, o TransactOptions) error {
	files := statefile.Dir{State: o.StateDir, Runtime: o.RuntimeDir}
	if err := files.Prepare(); err != nil {
		return fmt.Errorf("prepare state directories: %w", err)
	}
	lock, err := awaitLock(ctx, files, o.Log)
	if err != nil {
		return err
	}
	s := settling{
		options: transaction.Options{
			Host: machine.New(machine.Options{
				Files:   files,
				Nix:     nix.Links{},
				Systemd: &systemd.Client{},
				Loader:  loader.Loader{},
				Restart: machine.Restart,
				Log:     o.Log,
			}),
			Store: machine.Store{Files: files, Roots: closure.Roots{Dir: closure.DefaultRoots, Reserve: files.WithReserve}},
			Log:   o.Log,
		},
		read:  files.Deployment,
		only:  o.Deployment,
		pause: transactPauses,
		told:  files,
	}
	return errors.Join(s.run(ctx), lock.Unlock())
}

// Pauses before a transaction that could not go on is tried again.
const (
	transactPause    = time.Second
	transactMaxPause = 30 * time.Second
	// commitMaxPause is for what is decided and runs well: nothing is gained by haste.
	commitMaxPause = 5 * time.Minute
)

// transactPauses returns how long to pause after the n-th failure in a row in a
// phase.
func transactPauses(p proto.Phase, n int) time.Duration {
	if p == proto.PhaseCommitting {
		return backoff(transactPause, commitMaxPause, n)
	}
	return backoff(transactPause, transactMaxPause, n)
}

// stuckTries is how many failures in a row are told.
const stuckTries = 3

// A settling is one process' work on the record.
type settling struct {
	options transaction.Options
	read    func() (deployment.Deployment, error)
	only    string                                   // ID of the deployment; empty for any
	pause   func(p proto.Phase, n int) time.Duration // after the n-th failure, from 1
	told    statefile.Dir                            // where it is told that nothing goes on
}

// run goes on with the record until it is settled, or ctx ends. In between it
// is read anew: it says what was done, whatever this process believes; but for what could
// not be saved, see [settling.bringBack].
func (s settling) run(ctx context.Context) error {
	log := s.options.Log
	stuck, left := s.undone(ctx), false
	var u unsaved
	defer func() {
		if !left {
			s.tell(ctx, statefile.Stuck{})
		}
	}()
	for {
		d, err := s.read()
		if unreadable(err) {
			log.ErrorContext(ctx, "the record cannot be understood; the host is left as it is", "err", err)
			return nil
		}
		if err == nil && !s.mine(d) {
			log.WarnContext(ctx, "the record is not of a deployment for this transaction", "deployment", d.ID, "phase", d.Phase, "want", s.only)
			return nil
		}
		if err == nil {
			level := slog.LevelInfo
			if d.Fetched() {
				level = slog.LevelDebug // it only begins, and says what with
			}
			log.Log(ctx, level, "transaction goes on", "deployment", d.ID, "phase", d.Phase, "toplevel", d.Toplevel)
			_, err = transaction.Run(ctx, d, s.optionsFor(d, stuck.Undone))
		}
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			left = stuck.Undone.Deployment != "" // for who goes on
			return fmt.Errorf("deployment %s, %s: %w", d.ID, d.Phase, ErrUnsettled)
		}
		if errors.Is(err, transaction.ErrWaited) {
			log.InfoContext(ctx, "the boot has ended; it is for the agent to say whether this begins", "deployment", d.ID)
			return nil
		}
		stuck = stuck.Again(d, err, time.Now())
		delay := s.pause(stuck.Phase, stuck.Tries)
		log.ErrorContext(ctx, "transaction could not go on and tries again", "deployment", d.ID, "try", stuck.Tries, "delay", delay, "err", err)
		if stuck.Tries >= stuckTries {
			s.tell(ctx, stuck)
			if left = s.notBegun(); left {
				log.WarnContext(ctx, "transaction cannot begin, and leaves it to the agent whether it still shall", "deployment", d.ID)
				return nil
			}
		}
		if u.due(d, err) {
			stuck = s.bringBack(ctx, d, stuck, &u)
		}
		select {
		case <-time.After(delay):
		case <-ctx.Done():
		}
	}
}

// notBegun reports whether nothing was touched yet, and nothing is decided: what is
// withdrawn meanwhile, or overtaken, or suspended, must not begin once there is room.
func (s settling) notBegun() bool {
	d, err := s.read()
	return err == nil && d.Fetched()
}

// tell has the agent tell that nothing goes on, or that it does.
func (s settling) tell(ctx context.Context, stuck statefile.Stuck) {
	if err := s.told.SaveStuck(stuck); err != nil {
		s.options.Log.WarnContext(ctx, "how the transaction goes on cannot be told", "err", err)
	}
}

// mine reports whether d is there to be settled. One that only waits is begun by
// the agent's word alone.
func (s settling) mine(d deployment.Deployment) bool {
	begun := d.Terminal() || d.InTransaction() || d.Phase == proto.PhaseArmed || d.Phase == proto.PhaseStaged
	return s.only == "" && begun || s.only == d.ID && (begun || d.Fetched())
}

// unreadable reports whether reading again cannot end otherwise, until a person
// has looked.
func unreadable(err error) bool {
	if _, torn := errors.AsType[*durable.CorruptError](err); torn {
		return true
	}
	_, foreign := errors.AsType[*durable.FormatError](err)
	return foreign
}
