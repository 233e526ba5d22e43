package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kedge/agent/internal/activation"
	"kedge/agent/internal/closure"
	"kedge/agent/internal/credentials"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/hook"
	"kedge/agent/internal/loader"
	"kedge/agent/internal/logind"
	"kedge/agent/internal/machine"
	"kedge/agent/internal/outbox"
	"kedge/agent/internal/profile"
	"kedge/agent/internal/reach"
	"kedge/agent/internal/statefile"
	"kedge/agent/internal/systemd"
	"kedge/agent/internal/tidy"
	"kedge/internal/nix"
	"kedge/internal/setup"
	"kedge/proto"
	"kedge/proto/bus"
)

// Assemble connects and returns an agent made of the real parts. Close lets go
// of the connection; call it after [Agent.Run] has returned. c is what start noted.
func Assemble(
	ctx context.Context, c Config, start Start, version string, log *slog.Logger, r prometheus.Registerer,
) (a *Agent, closeLink func(), err error) {
	id, err := identity(version)
	if err != nil {
		return nil, nil, err
	}
	files := statefile.Dir{State: c.StateDir, Runtime: c.RuntimeDir}
	if err := files.Prepare(); err != nil {
		return nil, nil, fmt.Errorf("prepare state directories: %w", err)
	}
	box, err := outbox.Open(outbox.Options{Dir: filepath.Join(c.StateDir, "outbox"), Log: log})
	if err != nil {
		return nil, nil, err
	}
	link, err := bus.Connect(ctx, bus.Options{
		Servers:     c.NATS.Servers,
		Name:        c.Host.String(),
		Credentials: c.NATS.CredentialsFile,
		Renewed:     credentials.Renewed(c.StateDir),
		Outbound:    c.outbound(),
		Backoff:     bus.Backoff{Cap: c.NATS.MaxReconnectDelay},
		Log:         log,
	})
	if err != nil {
		return nil, nil, err
	}
	var barred credentials.State
	id.Instance, barred = thisMachine(ctx, c, "", files, log)
	host := bus.NewHost(link, c.Host)
	cli := &nix.CLI{Log: log}
	gateway := closure.Gateway{CLI: cli, Ways: &closure.Ways{Outbound: c.outbound(), Pace: closure.NewPace(c.Fetch.MaxRate), Netrc: c.Fetch.NetrcFile}}
	roots := closure.Roots{Dir: closure.DefaultRoots, Reserve: files.WithReserve}
	tidier := newHostTidier(c, cli, files, log)
	support := knownLoader(ctx, files, id.Executable, loader.Loader{}.Detect, log)
	a, err = New(Options{
		Config:    c,
		Identity:  id,
		Start:     start,
		Bus:       host,
		Link:      link,
		Fetcher:   newHostFetcher(c, gateway, roots, tidier.garbage, support, log),
		Guard:     &systemdGuard{systemd: &systemd.Client{}, own: id.Executable, files: files, path: os.Getenv("PATH")},
		Systems:   hostSystems{System: profile.System{Nix: nix.Links{}}, store: machine.Store{Files: files, Roots: roots}},
		Store:     closure.Integrity{Nix: gateway, TrustedKeys: c.Trust.CacheKeys},
		Spaces:    closure.Spaces{},
		Ways:      gateway.Ways,
		Power:     &systemd.Client{},
		Endpoints: reach.Prober{URLs: slices.Concat(c.NATS.Servers, c.Caches), Dial: c.outbound().DialContext},
		Hooks:     hook.Runner{Path: os.Getenv("PATH")},
		Leases:    host,
		Loader:    support,
		Keeper: credentials.New(credentials.Options{
			Host: c.Host, Credentials: c.NATS.CredentialsFile, StateDir: c.StateDir,
			Link: link, Ask: host.Renew, Apply: c.apply(id.Instance), Instance: id.Instance, Barred: barred, Now: time.Now, Log: log, Changed: func() { ring(a.report) },
		}),
		Tidier:     tidier,
		Files:      files,
		Outbox:     box,
		Log:        log,
		Registry:   r,
		Inhibitors: logindInhibitors{logind: logind.Client{}, locks: c.Inhibit.Logind, logins: c.Inhibit.Users},
	})
	closeLink = func() {
		host.Close()
		link.Close()
	}
	if err != nil {
		closeLink()
		return nil, nil, err
	}
	return a, closeLink, nil
}

func identity(version string) (Identity, error) {
	exe, err := os.Executable()
	if err != nil {
		return Identity{}, fmt.Errorf("find the agent's own binary: %w", err)
	}
	if exe, err = filepath.EvalSymlinks(exe); err != nil {
		return Identity{}, fmt.Errorf("find the agent's own binary: %w", err)
	}
	boot, err := machine.BootID("")
	if err != nil {
		return Identity{}, err
	}
	machineID, _ := machine.ID("") // without one it is none that a configuration can be for
	return Identity{Version: version, Executable: exe, InvocationID: os.Getenv("INVOCATION_ID"), BootID: boot, MachineID: machineID}, nil
}

// A hostFetcher fetches a closure and looks at the system in it.
type hostFetcher struct {
	closure   closure.Fetcher
	preflight closure.Preflight
	systems   profile.System
	loader    loader.Support
	brought   *atomic.Uint64
	places    places // of the agent that runs
}

func newHostFetcher(c Config, cli closure.Gateway, roots closure.Roots, garbage *tidy.Collector, support loader.Support, log *slog.Logger) hostFetcher {
	client := cli.Ways.Client()
	room := closure.Room{Lists: closure.HTTPLister{Client: client}, Pace: cli.Ways.Pace, Reserve: c.Fetch.Reserve, Log: log}
	if garbage != nil {
		room.MakeRoom = garbage.MakeRoom
	}
	brought := &atomic.Uint64{}
	return hostFetcher{
		closure: closure.Fetcher{
			Transport: newTransport(cli, client, log), Store: cli, Roots: roots, Room: room.Check, Timeout: c.Fetch.Timeout, Pace: cli.Ways.Pace, Log: log,
			Brought: func(bytes uint64) { brought.Add(bytes) },
		},
		loader:  support,
		brought: brought,
		places:  c.places(),
	}
}

// newTransport brings small changes through nix-daemon, and all else by
// nix-store.
func newTransport(cli closure.Gateway, client *http.Client, log *slog.Logger) closure.Transport {
	return closure.Direct{
		Begin: func(ctx context.Context, keys []proto.PublicKey) (closure.Import, error) {
			return nix.Daemon{}.Import(ctx, keys)
		},
		Client: client,
		Rest:   closure.Substitution{Nix: cli},
		Log:    log,
	}
}

// Fetch implements [Fetcher].
func (f hostFetcher) Fetch(ctx context.Context, o closure.FetchOrder) (Fetched, error) {
	if err := f.closure.Fetch(ctx, o); err != nil {
		return Fetched{}, err
	}
	return f.ask(o.Toplevel)
}

// Examine implements [Fetcher].
func (f hostFetcher) Examine(ctx context.Context, toplevel proto.StorePath) (Fetched, error) {
	if err := f.closure.Keep(ctx, toplevel); err != nil {
		return Fetched{}, err
	}
	return f.ask(toplevel)
}

// GiveUp implements [Fetcher].
func (f hostFetcher) GiveUp() error { return f.closure.GiveUp() }

// Brought implements [Fetcher].
func (f hostFetcher) Brought() uint64 { return f.brought.Load() }

// ask finds out what a system that is present says of itself.
func (f hostFetcher) ask(toplevel proto.StorePath) (Fetched, error) {
	// A boot leads to the base: it must be fit for that, whatever it runs in.
	if err := f.preflight.Check(toplevel); err != nil {
		return Fetched{}, err
	}
	c, err := f.judged(toplevel)
	if err != nil {
		return Fetched{}, err
	}
	got := Fetched{Unprotected: f.loader.Reason, Unjudged: f.preflight.Trial(toplevel)}
	if got.Specialisation, err = c.specialisation(f.systems, toplevel); err != nil {
		return Fetched{}, err
	}
	system := got.Specialisation.Of(toplevel)
	if system != toplevel {
		if err := f.preflight.Check(system); err != nil {
			return Fetched{}, err
		}
		if c, err = f.judged(system); err != nil {
			return Fetched{}, err
		}
		got.Unjudged = cmp.Or(got.Unjudged, f.preflight.Trial(system))
	}
	got.Probation = c.Probation.probation()
	if got.Reboot, err = f.systems.RebootFor(system); err != nil {
		return Fetched{}, err
	}
	got.Inhibitors, err = f.preflight.Inhibitors(system)
	return got, err
}

// judged reads how a system wants to be judged. Its agent has to look where this one
// writes: nobody would judge its boot otherwise, nobody would find that it made contact, and
// what the host remembers would be lost.
func (f hostFetcher) judged(system proto.StorePath) (judged, error) {
	c, err := readJudged(configOf(f.systems, system))
	if err != nil {
		return judged{}, err
	}
	var p problems
	p.check(path.Clean(c.StateDir) == f.places.state, "state_dir is %q there, and %q here: what this host remembers would be lost", c.StateDir, f.places.state)
	p.check(path.Clean(c.RuntimeDir) == f.places.runtime, "runtime_dir is %q there, and %q here: nobody would see that its agent made contact", c.RuntimeDir, f.places.runtime)
	if len(p) > 0 {
		return judged{}, &closure.Rejection{
			Reason: proto.ReasonBadConfig,
			Err:    fmt.Errorf("%s: %w; such a system is for a person on the host to switch to (see docs/operations.md)", system, errors.Join(p...)),
		}
	}
	return c, nil
}

// places are where an agent keeps its files.
type places struct{ state, runtime string }

func (c Config) places() places {
	return places{state: path.Clean(c.StateDir), runtime: path.Clean(c.RuntimeDir)}
}

// configOf returns where a system has its agent's configuration.
func configOf(s profile.System, system proto.StorePath) string {
	return filepath.Join(s.Root, closure.NewConfigPath(system))
}

// readJudged reads from a system's configuration how it wants to be judged, and in
// which specialisation. Other keys are not looked at: they may be of another
// version.
func readJudged(file string) (judged, error) {
	d := DefaultConfig()
	c, err := setup.DecodeKnown(file, judged{StateDir: d.StateDir, RuntimeDir: d.RuntimeDir, Probation: d.Probation, Activation: d.Activation})
	if err != nil {
		return judged{}, &closure.Rejection{
			Reason: proto.ReasonBadConfig,
			Err:    fmt.Errorf("the new system's agent could not start: %w", err),
		}
	}
	return c, nil
}

// judged is the part of another system's configuration that matters here.
type judged struct {
	StateDir   string           `config:"state_dir"`
	RuntimeDir string           `config:"runtime_dir"`
	Activation ActivationConfig `config:"activation"`
	Probation  ProbationConfig  `config:"probation"`
}

// Validate names every problem of j.
func (j judged) Validate() error {
	var p problems
	j.Activation.validateSpecialisation(&p)
	j.Probation.validate(&p)
	return errors.Join(p...)
}

// hostSystems reads and keeps the systems of this host.
type hostSystems struct {
	profile.System
	store machine.Store
}

// Switching implements [Systems].
func (s hostSystems) Switching() bool { return activation.Switching(s.Root) }

// Adopt implements [Systems].
func (s hostSystems) Adopt(p deployment.Proven) error { return s.store.Prove(p) }
