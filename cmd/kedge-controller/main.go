// Command kedge-controller builds the systems of a fleet of NixOS hosts from a
// git repository, and publishes what each host shall run.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"kedge/controller"
	"kedge/internal/setup"
)

// version is set by the linker.
var version = "0.0.0-dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(os.Stdout, os.Stderr).ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "kedge-controller:", err)
		os.Exit(1)
	}
}

func command(stdout, stderr io.Writer) *cobra.Command {
	var file string
	var check bool
	root := &cobra.Command{
		Use:           "kedge-controller",
		Short:         "Build a fleet's systems from git, and publish what each host shall run",
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
	root.PersistentFlags().StringVar(&file, "config", "/etc/kedge/controller.yaml", "configuration `FILE`: YAML, TOML or JSON")
	root.PersistentFlags().String("http-listen", "", "serve cache, metrics and health checks at this `ADDRESS`, host:port")
	setup.LogFlags(root.PersistentFlags())
	root.Flags().BoolVar(&check, "check-config", false, "name every problem of the configuration, and do nothing else")
	root.AddCommand(&cobra.Command{
		Use:   "run",
		Short: "Run the controller (kedge-controller.service does)",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := load(cmd, file)
			if err != nil {
				return err
			}
			return run(cmd.Context(), c, stderr)
		},
	})
	root.AddCommand(natsConfig(&file, stdout), backup(&file), restore(&file, stdout), notifyTest(&file, stdout))
	return root
}

// natsConfig prints what an external NATS server needs before there is one to ask.
func natsConfig(file *string, stdout io.Writer) *cobra.Command {
	var selfSigned bool
	cmd := &cobra.Command{
		Use:   "nats-config",
		Short: "Print what a NATS server of somebody else's needs",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := load(cmd, *file)
			if err != nil {
				return err
			}
			text, err := controller.ExternalNATS(c, time.Now(), selfSigned)
			if err != nil {
				return err
			}
			_, err = io.WriteString(stdout, text)
			return err
		},
	}
	cmd.Flags().BoolVar(&selfSigned, "self-signed", false, "print accounts for an operator of their own, to be imported with nsc")
	return cmd
}

// notifyTest tries destinations of notifications.
func notifyTest(file *string, stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "notify-test [DESTINATION...]",
		Short: "Send a test to destinations of notifications, or to all",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := load(cmd, *file)
			if err != nil {
				return err
			}
			return controller.NotifyTest(cmd.Context(), c, time.Now(), stdout, args...)
		},
	}
}

// load reads the file, the environment and the flags of cmd, the later ones
// winning.
func load(cmd *cobra.Command, file string) (controller.Config, error) {
	return setup.Load(setup.Source[controller.Config]{
		File:      file,
		EnvPrefix: "KEDGE",
		EnvIgnore: []string{"KEDGE_SERVER", "KEDGE_CREDS", "KEDGE_CA_FILE", "KEDGE_PINS"}, // they are for kedge, the command line
		Flags:     cmd.Flags(),
		Default:   controller.DefaultConfig(),
	})
}

func run(ctx context.Context, c controller.Config, stderr io.Writer) (err error) {
	log := setup.NewLogger(stderr, c.Log, os.Getenv)
	if err := setup.KeepSecrets(); err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	k, err := controller.Open(ctx, controller.Options{
		Config: c, Log: log, Registry: registry, Version: version,
		Notify: func(state string) {
			if _, err := daemon.SdNotify(false, state); err != nil {
				log.WarnContext(ctx, "service manager not told", "state", state, "err", err)
			}
		},
	})
	if err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // it stood by, or was not open yet
	}
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := k.Close(); err == nil {
			err = closeErr
		}
	}()
	return k.Run(ctx)
}
