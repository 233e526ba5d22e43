package agent

import (
	"context"
	"log/slog"

	"kedge/agent/internal/activation"
	"kedge/agent/internal/closure"
	"kedge/agent/internal/profile"
	"kedge/agent/internal/statefile"
	"kedge/agent/internal/tidy"
	"kedge/internal/nix"
)

// A hostTidier is the [Tidier] of this host.
type hostTidier struct {
	tidy.Pruner
	garbage *tidy.Collector // nil if none is collected
}

func newHostTidier(c Config, cli *nix.CLI, files statefile.Dir, log *slog.Logger) hostTidier {
	t := hostTidier{Pruner: tidy.Pruner{
		Keep:    c.Generations.Keep,
		Profile: profile.System{Nix: nix.Links{}},
		Loader:  activation.Runner{OutputDir: files.Runtime, Log: log},
		Files:   files,
	}}
	if c.GC.Enable {
		t.garbage = tidy.NewCollector(tidy.CollectorOptions{
			MinFree: c.GC.MinFree, MaxFree: c.GC.MaxFree, Nix: cli, Free: closure.FreeBytes, Log: log,
		})
	}
	return t
}

// Collect implements [Tidier].
func (t hostTidier) Collect(ctx context.Context) error {
	if t.garbage == nil {
		return nil
	}
	return t.garbage.IfLow(ctx)
}

// Collected implements [Tidier].
func (t hostTidier) Collected() tidy.Collected {
	if t.garbage == nil {
		return tidy.Collected{}
	}
	return t.garbage.Collected()
}
