package build

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"kedge/internal/nix"
	"kedge/internal/spec"
	"kedge/proto"
)

// attribute is the output of a flake that holds its hosts, and flakeFile what
// makes it one.
const (
	attribute = "nixosConfigurations"
	flakeFile = "flake.nix"
)

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
	// Spec is what the flake says about its rollouts.
	Spec spec.Spec

	ref      string        // of the flake
	prepared *nix.Prepared // waits to build them; nil for nothing
}

// Close lets go of what waits to build them, where [Builder.Build] was not called. It
// can be repeated.
func (e Evaluations) Close() { e.prepared.Close() }

// Evaluate evaluates every host of a flake, as far as it was not done before for a
// reference that names a revision. An error is about the flake as a whole: a
// [*FlakeError] or a [*SpecError], unless ctx ended. What is to build them starts
// meanwhile, if anything was to be evaluated: the result has to be closed, or built.
func (b *Builder) Evaluate(ctx context.Context, flakeRef string) (Evaluations, error) {
	s, known := b.book.recall(ctx, flakeRef)
	if known {
		return b.evaluate(ctx, flakeRef, s)
	}
	prepared := b.o.Nix.Prepare(ctx, b.realiseOptions())
	s, err := b.survey(ctx, flakeRef)
	var e Evaluations
	if err == nil {
		e, err = b.evaluate(ctx, flakeRef, s)
	}
	if e.prepared = prepared; err != nil {
		e.Close()
	}
	return e, err
}

// evaluate evaluates those hosts of a survey that it did not.
func (b *Builder) evaluate(ctx context.Context, flakeRef string, s survey) (Evaluations, error) {
	rollouts, err := b.spec(ctx, flakeRef, &s)
	if err != nil {
		return Evaluations{}, err
	}
	result := Evaluations{
		Hosts:  make(map[proto.HostName]Evaluation, len(s.Names)),
		Failed: make(map[proto.HostName]*HostError),
		Spec:   rollouts,
		ref:    flakeRef,
	}
	var missing []proto.HostName
	for _, name := range s.Names {
		host, err := proto.ParseHostName(name)
		if err != nil {
			result.Names = append(result.Names, &NameError{Name: name, Err: err})
			continue
		}
		if e := s.Hosts[name]; e != nil {
			result.Hosts[host] = *e
		} else {
			missing = append(missing, host)
		}
	}
	err = b.each(ctx, flakeRef, missing, result)
	if len(result.Hosts) > 0 {
		b.book.remember(ctx, flakeRef, s, result.Hosts)
	}
	return result, err
}

// each evaluates hosts, and adds what came of each to result. The error says that ctx
// ended.
func (b *Builder) each(ctx context.Context, flakeRef string, hosts []proto.HostName, result Evaluations) error {
	if len(hosts) > b.chunk() {
		hosts = b.many(ctx, flakeRef, hosts, result)
	}
	return b.alone(ctx, flakeRef, hosts, result)
}

// A survey is what there is in a flake, and what could be learned of it at once.
type survey struct {
	Names []string `json:"names"`
	// Hosts are null if they threw, and missing if they were not looked at.
	Hosts map[string]*Evaluation `json:"hosts"`
	// Kedge is null if it threw, and missing if it was not looked at.
	Kedge *specOutput `json:"kedge,omitempty"`
}

// surveyOf is applied to all hosts. It evaluates them if they are not more than
// there is room for in one process. (Errors that Nix cannot catch, such as a
// missing attribute, fail the whole evaluation.)
const surveyOf = `hosts:
  let
    names = builtins.attrNames hosts;
    isHost = name: builtins.match "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?" name != null;
    evaluate = ` + evaluateTried + `;
    some = if builtins.length names > %d then [ ] else builtins.filter isHost names;
  in {
    inherit names;
    hosts = builtins.listToAttrs (builtins.map (name: { inherit name; value = evaluate hosts.${name}; }) some);
  }`

// evaluateOne is applied to one host; evaluateTried, too, and returns null if that
// throws.
const (
	evaluateOne   = `host: let toplevel = host.config.system.build.toplevel; in { drv = toplevel.drvPath; out = toplevel.outPath; }`
	evaluateTried = `host: let
      result = (` + evaluateOne + `) host;
      tried = builtins.tryEval (builtins.deepSeq result result);
    in if tried.success then tried.value else null`
)

// survey asks for all hosts, or for their names alone if one of them fails that.
func (b *Builder) survey(ctx context.Context, flakeRef string) (survey, error) {
	s, err := b.surveyAll(ctx, flakeRef)
	if err != nil {
		if ctx.Err() != nil {
			return survey{}, err
		}
		// One of the hosts, or the flake: asking for the names tells.
		if namesErr := b.eval(ctx, flakeRef, attribute, "builtins.attrNames", &s.Names); namesErr != nil {
			return survey{}, flakeError(ctx, flakeRef, namesErr)
		}
		b.o.Log.DebugContext(ctx, "hosts are evaluated one by one", "hosts", len(s.Names), "err", err)
	}
	if len(s.Names) == 0 {
		return survey{}, &FlakeError{Ref: flakeRef, Missing: attribute, Err: errNoHosts}
	}
	return s, nil
}

// alone evaluates hosts in a process of its own each, and adds what came of it to
// result. The error says that ctx ended.
func (b *Builder) alone(ctx context.Context, flakeRef string, hosts []proto.HostName, result Evaluations) error {
	evaluations, failures := make([]Evaluation, len(hosts)), make([]error, len(hosts))
	var group errgroup.Group
	group.SetLimit(b.o.Workers)
	for i, host := range hosts {
		group.Go(func() error {
			failures[i] = b.eval(ctx, flakeRef, fmt.Sprintf("%s.%q", attribute, host), evaluateOne, &evaluations[i])
			return nil
		})
	}
	_ = group.Wait() // every error is among the failures
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("evaluate %s: %w", flakeRef, err)
	}
	for i, host := range hosts {
		if err := failures[i]; err != nil {
			result.Failed[host] = NewHostError(host, proto.ReasonEvalFailed, b.explainEval(err))
		} else {
			result.Hosts[host] = evaluations[i]
		}
	}
	return nil
}

// eval evaluates an attribute of a flake, in bounded time and memory, when it is its turn.
func (b *Builder) eval(ctx context.Context, flakeRef, path, apply string, v any) error {
	if err := b.turns.Acquire(ctx, 1); err != nil {
		return context.Cause(ctx)
	}
	defer b.turns.Release(1)
	ctx, cancel := context.WithTimeoutCause(ctx, b.o.EvalTimeout, fmt.Errorf("no end within %s", b.o.EvalTimeout))
	defer cancel()
	return b.o.Nix.EvalInto(ctx, nix.EvalOptions{Installable: flakeRef + "#" + path, Apply: apply, Memory: b.o.Memory}, v)
}

// explainEval is explain for an evaluation, whose memory is bounded.
func (b *Builder) explainEval(err error) error {
	if nix.OutOfMemory(err) {
		return fmt.Errorf("it needs more memory than an evaluation may use, %d MiB (build.eval_memory): %w", b.o.Memory, explain(err))
	}
	return explain(err)
}

func flakeError(ctx context.Context, ref string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("evaluate %s: %w", ref, err)
	}
	e := &FlakeError{Ref: ref, Err: explain(err)}
	if failed, ok := errors.AsType[*nix.CommandError](err); ok {
		switch {
		case strings.Contains(failed.Stderr, "'lastModified' attribute mismatch"):
			e.Err = fmt.Errorf("the controller's Nix must be 2.25 or newer, which takes our word for when a revision was made: %w", e.Err)
		case strings.Contains(failed.Stderr, "does not provide attribute"):
			e.Missing = attribute
		case strings.Contains(failed.Stderr, "flake.nix' does not exist"), strings.Contains(failed.Stderr, "does not contain a"):
			e.Missing = flakeFile
		}
	}
	return e
}
