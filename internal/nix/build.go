package nix

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"kedge/proto"
)

// RealiseOptions says what [CLI.Realise] makes.
type RealiseOptions struct {
	// Derivations to build (paths that end in .drv) or outputs to substitute;
	// at least one.
	Derivations []proto.StorePath
	// Outputs are what they are built to, in their order. Only a [Remote] wants to
	// know, and then it wants those of all.
	Outputs []proto.StorePath
	// KeepGoing builds what can be built when something fails. Which outputs
	// were made is then for [CLI.Invalid] to say.
	KeepGoing bool
	// MaxSilent is for how long a builder may say nothing before it fails; zero
	// means what nix.conf says. With KeepGoing the others are built on.
	MaxSilent time.Duration
	// CopyTo is the URL of a store that gets the outputs called "out" with their
	// closures, if nothing failed; empty means none. It saves a process.
	CopyTo string
	// Log is told what the build says; nil means that nobody is.
	Log LogFunc
	// Prepared does it, if it is not nil, which [CLI.Prepare] has started with the
	// same options. It can be used once.
	Prepared *Prepared
}

// Realise builds derivations, or fetches what they would build. The outputs
// have no root: a link in gcroots that was made before protects them from the
// moment they exist. On failure the last lines of each failed builder's log are
// in the [*CommandError].
func (c *CLI) Realise(ctx context.Context, o RealiseOptions) error {
	if len(o.Derivations) == 0 {
		return errors.New("realise derivations: none given")
	}
	if o.Prepared != nil {
		return o.Prepared.realise(ctx, o)
	}
	if o.CopyTo != "" {
		return c.prepare(ctx, o).realise(ctx, o)
	}
	args := []string{"--realise", "--no-build-output"}
	if o.KeepGoing {
		args = append(args, "--keep-going")
	}
	return c.logged(ctx, o.Log, "nix-store", args, texts(o.Derivations), o.settings()...)
}

// settings are those of a build. Nix quotes the end of the log when a builder fails.
func (o RealiseOptions) settings() []Setting {
	settings := []Setting{{"log-lines", "20"}}
	if o.MaxSilent > 0 {
		settings = append(settings, Setting{"max-silent-time", strconv.FormatInt(int64(o.MaxSilent.Seconds()), 10)})
	}
	return settings
}

// builtBy returns the outputs of derivations called "out" as the new commands name them.
func builtBy(derivations []proto.StorePath) []string {
	operands := texts(derivations)
	for i := range operands {
		operands[i] += "^out"
	}
	return operands
}

// EvalOptions says what [CLI.Eval] evaluates.
type EvalOptions struct {
	// Installable names an attribute of a flake, such as
	// "path:/nix/store/…-source?rev=…#nixosConfigurations".
	Installable string
	// Apply is a Nix function that is applied to it; empty means none.
	Apply string
	// Memory is how many MiB the evaluator may use before it fails; zero means no
	// bound. It is held to that itself, and by the kernel to twice as much.
	Memory int
}

// Eval evaluates an attribute of a flake and returns it as JSON. Derivations
// that it refers to are in the store afterwards, without a root. The lock file
// of the flake is not written. What it evaluates to may have 64 MiB.
func (c *CLI) Eval(ctx context.Context, o EvalOptions) (json.RawMessage, error) {
	args := []string{"eval", "--json", "--no-write-lock-file"}
	if o.Apply != "" {
		args = append(args, "--apply", o.Apply)
	}
	argv := c.evaluator().argv("nix", args, []string{o.Installable}, []Setting{
		{"extra-experimental-features", "nix-command flakes"},
		{"eval-cache", "false"}, // a database of each revision, which is evaluated once: it would be kept for ever
	})
	var out answer
	err := c.stream(ctx, argv, memory{heap: o.Memory, data: 2 * o.Memory}, streams{as: c.Evaluator, out: &out})
	if out.over { // the command says only that nobody reads any more
		return nil, &CommandError{Args: argv, ExitCode: -1, Err: errAnswer}
	}
	if err != nil {
		return nil, err
	}
	return bytes.TrimSpace(out.text.Bytes()), nil
}

// EvalInto evaluates as [CLI.Eval] does and decodes the result into v.
func (c *CLI) EvalInto(ctx context.Context, o EvalOptions, v any) error {
	out, err := c.Eval(ctx, o)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, v); err != nil {
		return fmt.Errorf("evaluate %s: %w", o.Installable, err)
	}
	return nil
}
