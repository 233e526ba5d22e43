package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

// Options is what a command line needs of the world. All are required but Now
// and Version.
type Options struct {
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Now            func() time.Time // defaults to time.Now
	Version        string           // defaults to "unknown"
	Terminal       bool             // whether Stdout is one, to redraw on
}

// Run carries out one command line, without the program's name, and returns
// what [ExitCode] turns into the exit code.
func Run(ctx context.Context, o Options, args []string) error {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Version == "" {
		o.Version = "unknown"
	}
	k := &kedge{Options: o}
	root := k.command()
	root.SetArgs(args)
	root.SetOut(o.Stdout)
	root.SetErr(o.Stderr)
	err := root.ExecuteContext(ctx)
	if err != nil && !k.understood {
		return &usageError{err: fmt.Errorf("%w\nTry 'kedge --help'", err)}
	}
	return err
}

// kedge is one command line being carried out.
type kedge struct {
	Options

	server, credentials string
	timeout             time.Duration
	understood          bool // arguments and flags were in order; a command runs
}

func (k *kedge) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "kedge",
		Short: "Look at a fleet of NixOS hosts, and say what it shall run",
		Long: `kedge talks to the controller of a fleet of NixOS hosts.

Exit codes: 0 done; 1 something went wrong; 2 wrong usage, nothing was done;
3 (--wait) a host rolled back, failed or refused; 4 (--wait) the time was up.`,
		Version:       k.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRun: func(*cobra.Command, []string) {
			k.understood = true
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	flags := root.PersistentFlags()
	flags.StringVar(&k.server, "server", "", "URL of the controller's NATS server (KEDGE_SERVER; default "+defaultServer+")")
	flags.StringVar(&k.credentials, "creds", "", "credentials file (KEDGE_CREDS; default "+buildHostCredentials+" if readable, else $XDG_CONFIG_HOME/kedge/creds)")
	flags.DurationVar(&k.timeout, "timeout", 0, "give up after this long (default 10s; publish 10m; with --wait 30m)")
	root.AddCommand(k.status(), k.host(), k.publish(), k.reconcile(), k.events())
	return root
}

// usage returns an error for a wrong command line that cobra found right.
func usage(format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...)}
}
