package build

import (
	"context"
	"encoding/json"
	"fmt"

	"kedge/internal/nix"
	"kedge/internal/spec"
	"kedge/proto"
)

// outputs is every output of a flake, none of which can be taken for a package's
// (as "kedge" could); from Nix 2.18 on.
const outputs = "."

// withSpec is applied to the outputs of a flake: what %s says of the hosts, and the
// output kedge, which is null if it throws and an empty set if there is none.
const withSpec = `outputs: (%s) (outputs.nixosConfigurations or { }) // {
  kedge =
    let tried = builtins.tryEval (builtins.deepSeq outputs.kedge outputs.kedge);
    in if !(outputs ? kedge) then { } else if tried.success then { inherit (tried) value; } else null;
}`

// specAlone is the output kedge, as withSpec has it, which throws if that does.
const specAlone = `outputs: if outputs ? kedge then { value = outputs.kedge; } else { }`

// A specOutput is the output kedge.
type specOutput struct {
	Value json.RawMessage `json:"value,omitempty"` // nil if the flake has none
}

// surveyAll asks for all hosts and the output kedge.
func (b *Builder) surveyAll(ctx context.Context, flakeRef string) (s survey, err error) {
	err = b.eval(ctx, flakeRef, outputs, fmt.Sprintf(withSpec, fmt.Sprintf(surveyOf, b.chunk())), &s)
	return s, err
}

// spec reads what a flake says about its rollouts. It evaluates that alone, into s,
// if s does not know it. An error is a [*SpecError], unless ctx ended.
func (b *Builder) spec(ctx context.Context, flakeRef string, s *survey) (spec.Spec, error) {
	if s.Kedge == nil {
		var alone specOutput
		if err := b.eval(ctx, flakeRef, outputs, specAlone, &alone); err != nil {
			if ctx.Err() != nil {
				return spec.Spec{}, err
			}
			return spec.Spec{}, &SpecError{Err: b.explainEval(err)}
		}
		s.Kedge = &alone
	}
	var hosts []proto.HostName
	for _, name := range s.Names {
		if host, err := proto.ParseHostName(name); err == nil { // the others are left out of everything
			hosts = append(hosts, host)
		}
	}
	parsed, err := spec.Parse(s.Kedge.Value, hosts)
	if err != nil {
		return spec.Spec{}, &SpecError{Err: err}
	}
	return parsed, nil
}

// A SpecError says that what a flake says about its rollouts cannot be used.
type SpecError struct{ Err error }

// Error implements error.
func (e *SpecError) Error() string {
	return cut(fmt.Sprintf("the flake's output kedge cannot be used:\n%v", e.Err))
}

// Unwrap returns the cause.
func (e *SpecError) Unwrap() error { return e.Err }

// Reason returns why, in a word.
func (e *SpecError) Reason() proto.Reason {
	if nix.DiskFull(e.Err) {
		return proto.ReasonDiskFull
	}
	return proto.ReasonBadSpec
}
