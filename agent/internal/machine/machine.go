// Package machine is the host as a transaction sees it, made of systemd, Nix,
// switch-to-configuration and the state directory.
package machine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"kedge/agent/internal/activation"
	"kedge/agent/internal/check"
	"kedge/agent/internal/control"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/health"
	"kedge/agent/internal/loader"
	"kedge/agent/internal/profile"
	"kedge/agent/internal/statefile"
	"kedge/agent/internal/systemd"
	"kedge/agent/internal/transaction"
	"kedge/proto"
)

// Systemd is the host's; *systemd.Client is it.
type Systemd interface {
	health.Units
	// StartReboot begins the shutdown that ends in another boot.
	StartReboot(ctx context.Context) error
	// AwaitBoot returns when everything of this boot was started, or could not be.
	AwaitBoot(ctx context.Context) error
	// StartUnit returns when the unit has started.
	StartUnit(ctx context.Context, name string) error
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
	Nix     profile.Setter // required; nix.Links is one
	Loader  loader.Loader
	// Restart has the kernel boot the host at once; [Restart] does. If it is nil, there
	// is nothing that could.
	Restart func() error
	Log     *slog.Logger // required
}

// A Machine is this host.
type Machine struct {
	root    string
	files   statefile.Dir
	systemd Systemd
	profile profile.System
	runner  activation.Runner
	loader  loader.Loader
	restart func() error
	log     *slog.Logger
}

var _ transaction.Host = (*Machine)(nil)

// New returns the host.
func New(o Options) *Machine {
	m := &Machine{
		root:    o.Root,
		files:   o.Files,
		systemd: o.Systemd,
		profile: profile.System{Root: o.Root, Nix: o.Nix},
		runner:  activation.Runner{Root: o.Root, OutputDir: o.Files.Runtime, Log: o.Log},
		loader:  o.Loader,
		restart: o.Restart,
		log:     o.Log,
	}
	m.runner.Ran = m.keepOutput
	return m
}

// keepOutput keeps for the agent what a run of the deployment in the record said. The
// journal has it, too: that it cannot be kept is in nobody's way.
func (m *Machine) keepOutput(ctx context.Context, toplevel proto.StorePath, mode proto.Mode, lines []string) {
	d, err := m.files.Deployment()
	if err == nil {
		err = m.files.KeepOutput(statefile.NewOutput(d, toplevel, mode, lines, time.Now()))
	}
	if err != nil {
		m.log.WarnContext(ctx, "output of the activation is not kept for the controller", "err", err)
	}
}

// BootID implements [transaction.Host].
func (m *Machine) BootID() (string, error) { return BootID(m.root) }

// Uptime implements [transaction.Host].
func (m *Machine) Uptime() (time.Duration, error) { return uptime() }

// Systems implements [transaction.Host]. What was proven is left zero.
func (m *Machine) Systems() (proto.Systems, error) { return m.profile.Systems() }

// Baseline implements [transaction.Host].
func (m *Machine) Baseline(ctx context.Context, within time.Duration) (deployment.Baseline, error) {
	defer m.systemd.Rest()
	return m.judge().Baseline(ctx, within)
}

// Activate implements [transaction.Host].
func (m *Machine) Activate(ctx context.Context, toplevel proto.StorePath, force bool) (activation.Result, error) {
	return m.runner.Activate(ctx, toplevel, force)
}

// Try implements [transaction.Host].
func (m *Machine) Try(ctx context.Context, s check.Subject, checks []deployment.Check) []proto.CheckResult {
	defer m.systemd.Rest()
	return (&check.Runner{Units: m.systemd, Subject: s}).TryAll(ctx, checks)
}

// Judge implements [transaction.Host].
func (m *Machine) Judge(ctx context.Context, s check.Subject, p deployment.Probation, before deployment.Baseline) (health.Judgement, error) {
	j := m.judge()
	j.Checks = &check.Runner{Units: m.systemd, Subject: s}
	var err error
	if j.BootID, err = m.BootID(); err != nil {
		return health.Judgement{}, err
	}
	defer m.systemd.Rest()
	return j.Judge(ctx, p, before)
}

func (m *Machine) judge() health.Judge {
	return health.Judge{Units: m.systemd, Receipts: m.files, Agent: control.Client{Dir: m.files.Runtime}, Log: m.log}
}

// Recalled implements [transaction.Host].
func (m *Machine) Recalled(ctx context.Context, id string) string {
	if r, recalled := m.files.AwaitRecall(ctx, id, m.log); recalled {
		return r.String()
	}
	return ""
}

// RestartAgent implements [transaction.Host].
func (m *Machine) RestartAgent(ctx context.Context) error {
	return m.systemd.RestartUnit(ctx, health.AgentUnit)
}

// Register implements [transaction.Host].
func (m *Machine) Register(ctx context.Context, toplevel proto.StorePath) (proto.Generation, error) {
	return m.profile.Register(ctx, toplevel)
}

// Restore implements [transaction.Host].
func (m *Machine) Restore(ctx context.Context, p deployment.Proven) error {
	return m.files.WithReserve(func() error {
		_, err := m.profile.Restore(ctx, p.Toplevel, p.Generation)
		return err
	})
}

// Drop implements [transaction.Host].
func (m *Machine) Drop(ctx context.Context, toplevel proto.StorePath) error {
	return m.profile.Drop(ctx, toplevel)
}

// Raise implements [transaction.Host].
func (m *Machine) Raise(ctx context.Context, toplevel, above proto.StorePath) error {
	return m.files.WithReserve(func() error { return m.profile.Raise(ctx, toplevel, above) })
}

// SetDefault implements [transaction.Host]. Not every installer of a boot loader says
// that it failed: one that runs something else at its end may have what that says.
func (m *Machine) SetDefault(ctx context.Context, toplevel proto.StorePath) error {
	if err := m.runner.SetDefault(ctx, toplevel); err != nil {
		return err
	}
	return m.loader.CheckDefault(ctx, toplevel)
}

// DryActivate implements [transaction.Host].
func (m *Machine) DryActivate(ctx context.Context, toplevel proto.StorePath) ([]string, error) {
	return m.runner.DryActivate(ctx, toplevel)
}

// Arm implements [transaction.Host].
func (m *Machine) Arm(ctx context.Context, toplevel proto.StorePath) error {
	return m.loader.Arm(ctx, toplevel)
}

// Disarm implements [transaction.Host].
func (m *Machine) Disarm(ctx context.Context) error { return m.loader.Disarm(ctx) }

// Reboot implements [transaction.Host].
func (m *Machine) Reboot(ctx context.Context) error {
	err := m.systemd.StartReboot(ctx)
	if errors.Is(err, systemd.ErrUnanswered) {
		return fmt.Errorf("%w: %w", transaction.ErrNoAnswer, err)
	}
	return err
}

// AwaitBoot implements [transaction.Host].
func (m *Machine) AwaitBoot(ctx context.Context) error {
	defer m.systemd.Rest()
	return m.systemd.AwaitBoot(ctx)
}

// blessUnit is systemd's: it marks what was booted as good once boot-complete.target
// is reached, which is not while a boot waits for its judgement; see
// nixos-module/boot-complete.nix.
const blessUnit = "systemd-bless-boot.service"

// Bless implements [transaction.Host].
func (m *Machine) Bless(ctx context.Context) error {
	counted, err := m.loader.Counted()
	if err != nil || !counted {
		return err
	}
	return m.systemd.StartUnit(ctx, blessUnit)
}
