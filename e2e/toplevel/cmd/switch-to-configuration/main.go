// Command switch-to-configuration is what bin/switch-to-configuration of a test host's toplevel runs.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"kedge/e2e/toplevel/stc"
)

func main() {
	// Caught, not ignored: a write without a reader then fails instead of ending us by the signal,
	// and the programs that we run still get it.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	os.Exit(stc.Run(context.Background(), stc.Options{
		Args: os.Args, Getenv: os.Getenv, Stdout: os.Stdout, Stderr: os.Stderr, EUID: os.Geteuid(),
	}))
}
