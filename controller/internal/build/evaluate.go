package build

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"kedge/internal/nix"
	"kedge/proto"
)

// attribute is the output of a flake that holds its hosts, and flakeFile what
// makes it one.
const (
	attribute = "nixosConfigurations"
	flakeFile = "flake.nix"
)

// evaluateAll is applied to all hosts. A host whose evaluation throws becomes
// null, one whose name cannot be a host's an empty set. (Errors that Nix cannot
// catch, such as a missing attribute, fail the whole evaluation.)
const evaluateAll = `hosts: builtins.mapAttrs (name: host:
  let
    toplevel = host.config.system.build.toplevel;
    result = { drv = toplevel.drvPath; out = toplevel.outPath; };
    tried = builtins.tryEval (builtins.deepSeq result result);
  in
    if builtins.match "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?" name == null then { }
    else if tried.success then tried.value
    else null) hosts`

// evaluateOne is applied to one host.
const evaluateOne = `host: let toplevel = host.config.system.build.toplevel; in { drv = toplevel.drvPath; out = toplevel.outPath; }`

// An Evaluation is how a host's toplevel is made, and where it will be.
type Evaluation struct {
	Derivation proto.StorePath `json:"drv"`
	Toplevel   proto.StorePath `json:"out"`
}

// Evaluations is what the hosts of a flake evaluate to.
type Evaluations struct {
	Hosts map[proto.HostName]Evaluation
	// Failed says why other hosts did not evaluate, with the reasons
	// [proto.ReasonEvalFailed] and [proto.ReasonDiskFull].
	Failed map[proto.HostName]*HostError
	// Names are what cannot be the name of a host. They were not evaluated.
	Names []*NameError
}

// Evaluate evaluates every host of a flake. An error is about the flake as a
// whole: a [*FlakeError], unless ctx ended.
func (b *Builder) Evaluate(ctx context.Context, flakeRef string) (Evaluations, error) {
	var all map[string]*Evaluation
	if err := b.eval(ctx, flakeRef, attribute, evaluateAll, &all); err != nil {
		if ctx.Err() != nil {
			return Evaluations{}, err
		}
		// One of the hosts, or the flake: asking for the names tells.
		var names []string
		if namesErr := b.eval(ctx, flakeRef, attribute, "builtins.attrNames", &names); namesErr != nil {
			return Evaluations{}, flakeError(ctx, flakeRef, namesErr)
		}
		b.o.Log.DebugContext(ctx, "hosts are evaluated one by one", "hosts", len(names), "err", err)
		all = make(map[string]*Evaluation, len(names))
		for _, name := range names {
			all[name] = nil
		}
	}
	if len(all) == 0 {
		return Evaluations{}, &FlakeError{Ref: flakeRef, Missing: attribute, Err: errNoHosts}
	}
	return b.sortOut(ctx, flakeRef, all)
}

// sortOut parses what all hosts evaluated to, and evaluates alone those that
// failed.
func (b *Builder) sortOut(ctx context.Context, flakeRef string, all map[string]*Evaluation) (Evaluations, error) {
	result := Evaluations{
		Hosts:  make(map[proto.HostName]Evaluation, len(all)),
		Failed: make(map[proto.HostName]*HostError),
	}
	var again []proto.HostName
	for _, name := range slices.Sorted(maps.Keys(all)) {
		host, err := proto.ParseHostName(name)
		if err != nil {
			result.Names = append(result.Names, &NameError{Name: name, Err: err})
			continue
		}
		if e := all[name]; e != nil {
			result.Hosts[host] = *e
		} else {
			again = append(again, host)
		}
	}

	evaluations, failures := make([]Evaluation, len(again)), make([]error, len(again))
	var group errgroup.Group
	group.SetLimit(b.o.Parallel)
	for i, host := range again {
		group.Go(func() error {
			failures[i] = b.eval(ctx, flakeRef, fmt.Sprintf("%s.%q", attribute, host), evaluateOne, &evaluations[i])
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return Evaluations{}, err
	}
	if err := context.Cause(ctx); err != nil {
		return Evaluations{}, fmt.Errorf("evaluate %s: %w", flakeRef, err)
	}
	for i, host := range again {
		if err := failures[i]; err != nil {
			result.Failed[host] = NewHostError(host, proto.ReasonEvalFailed, explain(err))
		} else {
			result.Hosts[host] = evaluations[i]
		}
	}
	return result, nil
}

// eval evaluates an attribute of a flake, in bounded time.
func (b *Builder) eval(ctx context.Context, flakeRef, path, apply string, v any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, b.o.EvalTimeout, fmt.Errorf("no end within %s", b.o.EvalTimeout))
	defer cancel()
	return b.o.Nix.EvalInto(ctx, nix.EvalOptions{Installable: flakeRef + "#" + path, Apply: apply}, v)
}

func flakeError(ctx context.Context, ref string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("evaluate %s: %w", ref, err)
	}
	e := &FlakeError{Ref: ref, Err: explain(err)}
	if failed, ok := errors.AsType[*nix.CommandError](err); ok {
		switch {
		case strings.Contains(failed.Stderr, "does not provide attribute"):
			e.Missing = attribute
		case strings.Contains(failed.Stderr, "flake.nix' does not exist"), strings.Contains(failed.Stderr, "does not contain a"):
			e.Missing = flakeFile
		}
	}
	return e
}
