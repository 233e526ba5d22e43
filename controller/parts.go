package controller

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"kedge/controller/internal/build"
	"kedge/controller/internal/cache"
	"kedge/controller/internal/source"
	"kedge/internal/nix"
	"kedge/proto"
)

// cacheKeyFile is below keysDir.
const cacheKeyFile = "cache"

// A Cache is a binary cache.
type Cache interface {
	Pusher
	Relay
	provider
	// PublicKey is the key that signs what is pushed.
	PublicKey() proto.PublicKey
	// Handler serves it, below /, to those whom a porter lets in; to everybody if
	// there is none.
	Handler(porter cache.Porter) http.Handler
}

var (
	_ Cache = (*cache.Cache)(nil)
	_ Cache = (*cache.Outside)(nil)
)

// Parts are what runs git and Nix. Tests replace them.
type Parts struct {
	Sources       map[string]Source // by channel; none if nothing is built here
	Builder       Builder
	Cache         Cache
	Pruner        Pruner                      // of Cache; nil if nobody prunes it
	CheckToplevel func(proto.StorePath) error // whether a store path is a NixOS toplevel
}

// NewParts returns the parts that a configuration asks for. They make their
// folders below the state directory, and their keys on the first start.
func NewParts(c Config, log *slog.Logger) (Parts, error) {
	evaluator, err := evaluator(c, log)
	if err != nil {
		return Parts{}, err
	}
	cli := &nix.CLI{Settings: nixSettings(c.Build), Evaluator: evaluator, Log: log}
	parts := Parts{Sources: map[string]Source{}, CheckToplevel: build.CheckToplevel}
	copyTo, err := parts.openCache(c, cli, log)
	if err != nil {
		return Parts{}, fmt.Errorf("cache: %w", err)
	}
	parts.Builder, err = build.New(buildOptions(c, where(c.Build, cli), copyTo, log))
	if err != nil {
		return Parts{}, fmt.Errorf("build: %w", err)
	}
	dropFormerSources(c, log)
	for name, s := range c.Sources {
		o := s.options()
		o.Dir, o.Log = filepath.Join(c.StateDir, sourcesDir, name), log.With("channel", name)
		o.Store, o.Root = cli, filepath.Join(sourceRoots, name)
		if parts.Sources[name], err = source.New(o); err != nil {
			return Parts{}, fmt.Errorf("source of channel %s: %w", name, err)
		}
	}
	return parts, nil
}

// evaluator returns who evaluates; nil is this process's user, which a flake can read
// the keys of.
func evaluator(c Config, log *slog.Logger) (*nix.User, error) {
	if c.Build.EvalUser == "" {
		if len(c.Sources) > 0 && os.Geteuid() == 0 {
			log.Warn("evaluations run as root: whoever may push can read every file of this machine; set build.eval_user")
		}
		return nil, nil
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("build.eval_user: only root can have another account evaluate; leave it empty, or run the controller as root")
	}
	u, err := nix.LookupUser(c.Build.EvalUser)
	if err != nil {
		return nil, fmt.Errorf("build.eval_user: %w", err)
	}
	return u, nil
}

// openCache opens the embedded cache, or those of others that take its place. It returns
// the store that is built into, if there is one.
func (p *Parts) openCache(c Config, cli *nix.CLI, log *slog.Logger) (copyTo string, err error) {
	o := cache.Options{
		Nix: cli, Dir: filepath.Join(c.StateDir, "cache"),
		KeyFile: filepath.Join(c.StateDir, keysDir, cacheKeyFile), KeyName: "kedge-" + keyName() + "-cache-1", From: c.Cache.From,
		Upstream: c.Cache.Upstream, Trusted: c.Keys.Cache, Push: c.Cache.targets(), Log: log,
	}
	if !c.Cache.Embedded {
		p.Cache, err = cache.OpenOutside(o)
		return "", err
	}
	embedded, err := cache.Open(o)
	if err != nil {
		return "", err
	}
	p.Cache, p.Pruner = embedded, embedded
	if len(c.Cache.Upstream) > 0 {
		return "", nil // it would store what they have
	}
	return embedded.URL(), nil
}

// nixSettings returns what Nix is told whatever it does.
func nixSettings(c BuildConfig) []nix.Setting {
	jobs := "auto" // Nix's own default is one at a time
	if c.Jobs > 0 {
		jobs = strconv.Itoa(c.Jobs)
	}
	settings := []nix.Setting{{Name: "max-jobs", Value: jobs}}
	if !c.Remote && len(c.Builders) == 0 {
		// It would be another process, only to learn that there are no builders.
		settings = append(settings, nix.Setting{Name: "build-hook", Value: ""})
	}
	if len(c.Builders) > 0 {
		settings = append(settings, nix.Setting{Name: "builders", Value: strings.Join(c.Builders, " ; ")})
	}
	return settings
}

// where returns what builds: Nix here, or that of the build host.
func where(c BuildConfig, cli *nix.CLI) build.Nix {
	if c.Host == "" {
		return cli
	}
	return &nix.Remote{CLI: cli, Host: c.buildHost()}
}

// buildOptions returns how to build. One evaluation is not given the time of a
// whole build: a host whose evaluation has no end is waited for, and meanwhile
// holds up all others.
func buildOptions(c Config, cli build.Nix, copyTo string, log *slog.Logger) build.Options {
	b := c.Build
	return build.Options{
		Nix: cli, CopyTo: copyTo, BuildTimeout: b.Timeout, MaxSilent: b.MaxSilent, Log: log,
		Workers: b.EvalWorkers, Memory: b.EvalMemory,
		Keep: b.KeepRevisions, Evaluations: filepath.Join(c.StateDir, "evaluations"), Revisions: b.KeepRevisions,
	}
}

// keyName returns what new keys are called after: this machine, if it has a name
// that can be part of one.
func keyName() string { return cmp.Or(machineName(), "controller") }

// machineName returns the name of this machine, if it could be a host's; else nothing.
func machineName() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	label, _, _ := strings.Cut(strings.ToLower(name), ".")
	h, err := proto.ParseHostName(label)
	if err != nil {
		return ""
	}
	return h.String()
}
