// Package machine is the host as a transaction sees it, made of systemd, Nix,
// switch-to-configuration and the state directory.
package machine

import (
	"context"
	"log/slog"

	"kedge/agent/internal/activation"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/health"
	"kedge/agent/internal/profile"
	"kedge/agent/internal/statefile"
	"kedge/agent/internal/systemd"
	"kedge/agent/internal/transaction"
	"kedge/proto"
)

// Systemd is the host's; *systemd.Client is it.
type Systemd interface {
	health.Units
	// Troubled returns the units that have failed, and those that wait to be
	// started again, with details.
	Troubled(ctx context.Context) (systemd.Units, error)
	// Rest says that there is nothing to ask for a while.
	Rest()
}

// Options is what a Machine needs.
type Options struct {
	// Root is the directory that store, /run and /proc are looked for in; empty
	// is /.
	Root    string
	Files   statefile.Dir  // required
	Systemd Systemd        // required
	Nix     profile.Setter // required; *nix.CLI is one
	Log     *slog.Logger   // required
}

// A Machine is this host.
type Machine struct {
	root    string
	files   statefile.Dir
	systemd Systemd
	profile profile.System
	runner  activation.Runner
	log     *slog.Logger
}

var _ transaction.Host = (*Machine)(nil)

// New returns the host.
func New(o Options) *Machine {
	return &Machine{
		root:    o.Root,
		files:   o.Files,
		systemd: o.Systemd,
		profile: profile.System{Root: o.Root, Nix: o.Nix},
		runner:  activation.Runner{Root: o.Root, OutputDir: o.Files.Runtime, Log: o.Log},
		log:     o.Log,
	}
}

// BootID implements [transaction.Host].
func (m *Machine) BootID() (string, error) { return BootID(m.root) }

// Systems implements [transaction.Host]. What was proven is left zero.
func (m *Machine) Systems() (proto.Systems, error) { return m.profile.Systems() }

// FailedUnits implements [transaction.Host]: units that failed, or failed and
// wait to be started again.
func (m *Machine) FailedUnits(ctx context.Context) ([]string, error) {
	defer m.systemd.Rest()
	units, err := m.systemd.Troubled(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, u := range units {
		if health.Failing(u) {
			names = append(names, u.Name)
		}
	}
	return names, nil
}

// Activate implements [transaction.Host].
func (m *Machine) Activate(ctx context.Context, toplevel proto.StorePath, force bool) (activation.Result, error) {
	return m.runner.Activate(ctx, toplevel, force)
}

// Judge implements [transaction.Host].
func (m *Machine) Judge(ctx context.Context, p deployment.Probation, failedBefore []string) (health.Judgement, error) {
	boot, err := m.BootID()
	if err != nil {
		return health.Judgement{}, err
	}
	defer m.systemd.Rest()
	return health.Judge{Units: m.systemd, Receipts: m.files, BootID: boot, Log: m.log}.Judge(ctx, p, failedBefore)
}

// Register implements [transaction.Host].
func (m *Machine) Register(ctx context.Context, toplevel proto.StorePath) (proto.Generation, error) {
	return m.profile.Register(ctx, toplevel)
}

// Restore implements [transaction.Host].
func (m *Machine) Restore(ctx context.Context, p deployment.Proven) error {
	_, err := m.profile.Restore(ctx, p.Toplevel, p.Generation)
	return err
}

// SetDefault implements [transaction.Host].
func (m *Machine) SetDefault(ctx context.Context, toplevel proto.StorePath) error {
	return m.runner.SetDefault(ctx, toplevel)
}
