// Command layers runs the project's tests: `go run ./e2e/cmd/layers [-run
// REGEXP] [LAYER…]` from the module's directory. See package layers.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"kedge/e2e/internal/command"
	"kedge/e2e/layers"
)

func main() {
	ctx, stop := command.UntilStopped(context.Background())
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		if !errors.Is(err, layers.ErrFailed) { // which was printed, at length
			fmt.Fprintln(os.Stderr, "layers:", err)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("layers", flag.ContinueOnError)
	expression := flags.String("run", "", "run only the end-to-end tests that match this `regexp`")
	strict := flags.Bool("strict", os.Getenv("CI") != "", "make a skipped test a failure (default: if CI is set)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	selected, err := layers.Select(*expression, flags.Args()...)
	if err != nil {
		return err
	}
	return layers.Run(ctx, layers.Options{Layers: selected, Out: os.Stdout, Strict: *strict})
}
