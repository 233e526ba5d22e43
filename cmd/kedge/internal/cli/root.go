package cli

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kedge/internal/nix"
	"kedge/internal/usage"
	"kedge/proto"
)

// Options is what a command line needs of the world. All are required but Now,
// Version, Eval and Closure.
type Options struct {
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Now            func() time.Time // defaults to time.Now
	Version        string           // defaults to "unknown"
	Terminal       bool             // whether Stdout is one, to redraw on
	// Eval evaluates an attribute of a flake; defaults to having Nix do it.
	Eval func(ctx context.Context, o nix.EvalOptions) (json.RawMessage, error)
	// Closure lists a closure of the local Nix store; defaults to asking Nix.
	Closure func(ctx context.Context, paths ...proto.StorePath) (proto.Closure, error)
}

// Run carries out one command line, without the program's name, and returns
// what [ExitCode] turns into the exit code.
func Run(ctx context.Context, o Options, args []string) error {
	root := Command(o)
	root.SetArgs(args)
	return usage.Execute(ctx, root)
}

// Command returns the command line, for [Run] and for what is written about it.
func Command(o Options) *cobra.Command {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Version == "" {
		o.Version = "unknown"
	}
	if o.Closure == nil {
		o.Closure = (&nix.CLI{}).Closure
	}
	if o.Eval == nil {
		o.Eval = (&nix.CLI{}).Eval
	}
	k := &kedge{Options: o}
	return k.command()
}

// kedge is one command line being carried out.
type kedge struct {
	Options

	servers     string // with commas between
	credentials string
	caFile      string
	pins        []string
	timeout     time.Duration
	asJSON      bool // of an act on a rollout
}

func (k *kedge) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "kedge",
		Short: "Look at a fleet of NixOS hosts, and say what it shall run",
		Long: `kedge talks to the controller of a fleet of NixOS hosts.

Exit codes: 0 done; 1 something went wrong; 2 wrong usage, nothing was done;
3 (--wait) a host rolled back, failed, refused, or was given nothing; 4 (--wait)
the time was up.`,
		Version:       k.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetOut(k.Stdout)
	root.SetErr(k.Stderr)
	root.CompletionOptions.HiddenDefaultCmd = true
	flags := root.PersistentFlags()
	flags.StringVar(&k.servers, "server", "", "URL of the controller's NATS server, or those of several with commas between (KEDGE_SERVER; default: as the controller says beside the credentials, else "+defaultServer+")")
	flags.StringVar(&k.caFile, "ca-file", "", "trust the authorities in this file, not the system's (KEDGE_CA_FILE)")
	flags.StringSliceVar(&k.pins, "pin", nil, "trust the server with this key, as the controller says at its start (KEDGE_PINS)")
	flags.StringVar(&k.credentials, "creds", "", "credentials file (KEDGE_CREDS; default "+buildHostCredentials+" if readable, else $XDG_CONFIG_HOME/kedge/creds)")
	flags.DurationVar(&k.timeout, "timeout", 0, "give up after this long (default 10s; publish 10m; with --wait 30m)")
	root.AddCommand(k.status(), k.host(), k.publish(), k.reconcile(), k.rollout(), k.check(), k.build(), k.events(), k.lease(), k.operator(), k.audit(), k.nats(), k.key(), k.release())
	root.AddCommand(
		k.onBuildHost("backup", "Write what the controller cannot make again to an encrypted file"),
		k.onBuildHost("restore", "Put a backup in the place of what the controller has"),
	)
	root.SetHelpCommand(help())
	root.InitDefaultCompletionCmd()
	refuseUnknown(root)
	return root
}

// help is cobra's command of that name, but for topics that do not exist: cobra
// answers those with success.
func help() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about any command",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usage.Errorf("unknown help topic %q", strings.Join(args, " "))
			}
			return about.Help()
		},
	}
}

// refuseUnknown makes commands that only have others below them refuse those
// that they do not have. By itself cobra answers them with help, and success.
func refuseUnknown(root *cobra.Command) {
	for _, c := range root.Commands() {
		if !c.Runnable() {
			c.Args = cobra.NoArgs
			c.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
}
