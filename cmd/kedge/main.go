// Command kedge is the operators' command line; see package cli.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"kedge/cmd/kedge/internal/cli"
)

// version is set by the linker.
var version = "0.0.0-dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := cli.Run(ctx, cli.Options{
		Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Version: version, Terminal: isTerminal(os.Stdout),
	}, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "kedge:", cli.Message(err))
	}
	os.Exit(cli.ExitCode(err))
}

func isTerminal(f *os.File) bool {
	i, err := f.Stat()
	return err == nil && i.Mode()&os.ModeCharDevice != 0
}
