package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kedge/internal/nix"
	"kedge/internal/noflake"
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
	var asJSON, submodules bool
	var entry noflake.Entry
	cmd := &cobra.Command{
		Use:   "check [FLAKE]",
		Short: "Say what a flake's output kedge means, or what is wrong with it",
		Long: `Evaluate the output kedge of a flake, which is a directory or what Nix takes for a flake
(default: here), and say which hosts go in which wave; or everything that is wrong with
it, each with the path of the attribute, and end with exit code 1. It needs Nix, and
asks no controller. Systems of hosts are not evaluated.

With --file it is a directory without a flake, of which that file is evaluated, as
purely as the controller does it. With --submodules it is one of git, and the submodules
that are checked out in it are there, as they are for a source that has them.`,
		Args: cobra.MaximumNArgs(1),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().StringVar(&entry.File, "file", "", "a Nix file in the directory, in the place of a flake")
	cmd.Flags().StringVar(&entry.Attribute, "attribute", "", "with --file: where the hosts are in it (default "+noflake.DefaultAttribute+")")
	cmd.Flags().BoolVar(&submodules, "submodules", false, "with git's submodules")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ref, err := flakeRef(args)
		if err != nil {
			return err
		}
		if submodules && !filepath.IsAbs(ref) {
			return usage.Errorf("%q: with --submodules it must be a directory; a reference may say ?submodules=1", ref)
		}
		if problems := entry.Problems(); len(problems) > 0 {
			return usage.Errorf("%w", errors.Join(problems...))
		}
		timeout := checkTimeout
		if k.timeout > 0 {
			timeout = k.timeout
		}
		ctx, cancel := context.WithTimeoutCause(cmd.Context(), timeout, fmt.Errorf("no end within %s", timeout))
		defer cancel()
		if entry.File != "" {
			return k.checkFile(ctx, ref, entry, submodules, asJSON)
		}
		if submodules {
			ref += submodulesQuery
		}
		return k.checkFlake(ctx, ref, asJSON)
	}
	return cmd
}

// submodulesQuery has Nix take git's submodules along.
const submodulesQuery = "?submodules=1"

// checkFile checks a directory without a flake, of which it makes one elsewhere.
func (k *kedge) checkFile(ctx context.Context, dir string, entry noflake.Entry, submodules, asJSON bool) (err error) {
	if !filepath.IsAbs(dir) {
		return usage.Errorf("%q: with --file it must be a directory", dir)
	}
	source := (&url.URL{Scheme: "path", Path: dir, OmitHost: true}).String()
	_, statErr := os.Stat(filepath.Join(dir, ".git"))
	switch {
	case statErr == nil: // what git does not know is not seen, as by the controller
		source = (&url.URL{Scheme: "git+file", Path: dir}).String()
		if submodules {
			source += submodulesQuery
		}
	case submodules:
		return usage.Errorf("%s: with --submodules it must be git's", dir)
	}
	home, err := os.MkdirTemp("", "kedge-check-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(home)) }()
	text := entry.Flake("inputs.source", fmt.Sprintf("inputs.source = { url = %q; flake = false; };", source))
	if err := os.WriteFile(filepath.Join(home, "flake.nix"), []byte(text), 0o600); err != nil {
		return err
	}
	return k.checkFlake(ctx, "path:"+home, asJSON)
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
