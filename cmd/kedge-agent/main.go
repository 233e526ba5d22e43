// Command kedge-agent keeps a NixOS host on the system that its controller
// wants, as far as keys that the host trusts have signed it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"kedge/agent"
	"kedge/agent/cli"
	"kedge/internal/setup"
	"kedge/internal/usage"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := usage.Execute(ctx, command(os.Stdout, os.Stderr))
	stop()
	if err != nil && cli.Message(err) != "" {
		fmt.Fprintln(os.Stderr, "kedge-agent:", cli.Message(err))
	}
	os.Exit(cli.ExitCode(err))
}

func command(stdout, stderr io.Writer) *cobra.Command {
	var file string
	var check bool
	root := &cobra.Command{
		Use:   "kedge-agent",
		Short: "Keep this NixOS host on the system that its controller wants",
		Long: `Keep this NixOS host on the system that its controller wants, and say how it is.

` + cli.ExitCodes,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !check {
				return cmd.Help()
			}
			if _, err := load(cmd, file); err != nil {
				return err
			}
			_, err := fmt.Fprintf(stdout, "%s: ok\n", file)
			return err
		},
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.PersistentFlags().StringVar(&file, "config", "/etc/kedge/agent.yaml", "configuration `FILE`: YAML, TOML or JSON")
	root.PersistentFlags().String("metrics-listen", "", "serve metrics at this `ADDRESS`, host:port")
	setup.LogFlags(root.PersistentFlags())
	root.Flags().BoolVar(&check, "check-config", false, "name every problem of the configuration, and do nothing else")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(runCommand(&file, stderr), transactCommand(stderr))
	root.AddCommand(cli.Commands(cli.Options{Stdin: os.Stdin, Stdout: stdout, Stderr: stderr, Getenv: os.Getenv, Config: &file})...)
	return root
}

// load reads the file, the environment and the flags of cmd, the later ones
// winning.
func load(cmd *cobra.Command, file string) (agent.Config, error) {
	return setup.Load(setup.Source[agent.Config]{
		File:      file,
		EnvPrefix: "KEDGE",
		EnvIgnore: []string{"KEDGE_SERVER", "KEDGE_CREDS", "KEDGE_CA_FILE", "KEDGE_PINS"}, // they are for kedge, the command line
		Flags:     cmd.Flags(),
		Default:   agent.DefaultConfig(),
	})
}

func runCommand(file *string, stderr io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Run the agent (kedge-agent.service does)",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			start := agent.NoteStart(*file, agent.UnitFile, func() error {
				_, err := load(cmd, *file)
				return err
			})
			c, err := load(cmd, *file)
			if err != nil {
				return err
			}
			return run(cmd.Context(), c, start, stderr)
		},
	}
}

func run(ctx context.Context, c agent.Config, start agent.Start, stderr io.Writer) error {
	log := setup.NewLogger(stderr, c.Log, os.Getenv)
	if err := setup.KeepSecrets(); err != nil {
		return err
	}
	// Those of the process apart: node_exporter, which may read the agent's own from a file, has the same.
	registry, process := prometheus.NewRegistry(), prometheus.NewRegistry()
	if err := errors.Join(
		process.Register(collectors.NewGoCollector()),
		process.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
	); err != nil {
		return err
	}
	a, closeLink, err := agent.Assemble(ctx, c, start, version, log, registry)
	if err != nil {
		return err
	}
	defer closeLink()
	exporter, err := agent.Export(c.Metrics.Listen, prometheus.Gatherers{registry, process})
	if err != nil {
		// The agent may be the only way to this host: that somebody else has the
		// port is no reason to lose it.
		log.ErrorContext(ctx, "metrics are not served; the agent goes on without: set metrics.listen", "err", err)
	} else {
		defer exporter.Close()
	}
	defer agent.ExportTextfile(ctx, c.Metrics.Textfile, registry, log).Close()
	server, err := agent.ServeControl(ctx, a)
	if err != nil {
		log.ErrorContext(ctx, "nobody on this host can ask the agent; it goes on without", "err", err)
	} else {
		defer server.Close()
	}
	if _, err := daemon.SdNotify(true, daemon.SdNotifyReady); err != nil {
		return fmt.Errorf("tell systemd that the agent is ready: %w", err)
	}
	log.InfoContext(ctx, "agent runs", "host", c.Host, "version", version)
	return a.Run(ctx)
}

func transactCommand(stderr io.Writer) *cobra.Command {
	var o agent.TransactOptions
	cmd := &cobra.Command{
		Use:    "transact",
		Short:  "Settle the deployment on record (the agent starts this)",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Log = setup.NewLogger(stderr, setup.LogConfig{}, os.Getenv)
			return agent.Transact(cmd.Context(), o)
		},
	}
	d := agent.DefaultConfig()
	cmd.Flags().StringVar(&o.StateDir, "state-dir", d.StateDir, "the agent's state `DIR`")
	cmd.Flags().StringVar(&o.RuntimeDir, "runtime-dir", d.RuntimeDir, "the agent's runtime `DIR`")
	cmd.Flags().StringVar(&o.Deployment, "deployment", "", "settle only the deployment with this `ID`")
	return cmd
}
