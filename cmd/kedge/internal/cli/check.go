package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kedge/internal/nix"
	"kedge/internal/spec"
	"kedge/internal/usage"
	"kedge/proto"
)

// checkTimeout is how long an evaluation may take that needs no host's system.
const checkTimeout = 5 * time.Minute

// checkOutputs is applied to the outputs of a flake.
const checkOutputs = `outputs: { hosts = builtins.attrNames (outputs.nixosConfigurations or { }); }
  // (if outputs ? kedge then { inherit (outputs) kedge; } else { })`

func (k *kedge) check() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check [FLAKE]",
		Short: "Say what a flake's output kedge means, or what is wrong with it",
		Long: `Evaluate the output kedge of a flake, which is a directory or what Nix takes for a flake
(default: here), and say which hosts go in which wave; or everything that is wrong with
it, each with the path of the attribute, and end with exit code 1. It needs Nix, and
asks no controller. Systems of hosts are not evaluated.`,
		Args: cobra.MaximumNArgs(1),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ref, err := flakeRef(args)
		if err != nil {
			return err
		}
		timeout := checkTimeout
		if k.timeout > 0 {
			timeout = k.timeout
		}
		ctx, cancel := context.WithTimeoutCause(cmd.Context(), timeout, fmt.Errorf("no end within %s", timeout))
		defer cancel()
		return k.checkFlake(ctx, ref, asJSON)
	}
	return cmd
}

// flakeRef returns what Nix takes for the flake that is meant.
func flakeRef(args []string) (string, error) {
	ref := "."
	if len(args) > 0 {
		ref = args[0]
	}
	if strings.Contains(ref, "#") {
		return "", usage.Errorf("%q: a flake is meant as a whole, without an attribute", ref)
	}
	if i, err := os.Stat(ref); err == nil && i.IsDir() {
		return filepath.Abs(ref) // without a slash Nix would look it up in its registry
	}
	if !strings.Contains(ref, ":") {
		return "", usage.Errorf("%q is neither a directory nor a flake reference", ref)
	}
	return ref, nil
}

func (k *kedge) checkFlake(ctx context.Context, ref string, asJSON bool) error {
	raw, err := k.Eval(ctx, nix.EvalOptions{Installable: ref + "#.", Apply: checkOutputs})
	if err != nil {
		return fmt.Errorf("evaluate %s: %w", ref, err)
	}
	var outputs struct {
		Hosts []string        `json:"hosts"`
		Kedge json.RawMessage `json:"kedge"`
	}
	if err := json.Unmarshal(raw, &outputs); err != nil {
		return fmt.Errorf("evaluate %s: %w", ref, err)
	}
	var hosts []proto.HostName
	for _, name := range outputs.Hosts {
		if h, err := proto.ParseHostName(name); err == nil { // the controller tells of the others
			hosts = append(hosts, h)
		}
	}
	if len(hosts) == 0 {
		return fmt.Errorf("evaluate %s: there are no hosts in nixosConfigurations", ref)
	}
	s, err := spec.Parse(outputs.Kedge, hosts)
	if wrong, ok := errors.AsType[*spec.ParseError](err); ok && asJSON {
		if err := k.printChecked(checked{Problems: wrong.Problems}); err != nil {
			return err
		}
		return fmt.Errorf("%d problems", len(wrong.Problems))
	}
	if err != nil {
		return err
	}
	if asJSON {
		return k.printChecked(checkedOf(s, hosts))
	}
	drawChecked(k.Stdout, checkedOf(s, hosts))
	return nil
}
