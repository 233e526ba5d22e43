// Command mutations breaks the code on purpose and sees whether tests turn red:
// `go run ./e2e/cmd/mutations [-run REGEXP] [-parallel N]` from the module's
// directory. See package mutations.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"

	"kedge/e2e/internal/command"
	"kedge/e2e/mutations"
)

func main() {
	ctx, stop := command.UntilStopped(context.Background())
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		if !errors.Is(err, mutations.ErrSurvived) { // which was printed, at length
			fmt.Fprintln(os.Stderr, "mutations:", err)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("mutations", flag.ContinueOnError)
	expression := flags.String("run", "", "only those whose part of the code and words match this `regexp`")
	parallel := flags.Int("parallel", runtime.NumCPU(), "how many at a time")
	if err := flags.Parse(args); err != nil {
		return err
	}
	wanted, err := regexp.Compile(*expression)
	if err != nil {
		return err
	}
	all, err := mutations.All()
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(m mutations.Mutation) bool { return !wanted.MatchString(m.String()) })
	return mutations.Run(ctx, mutations.Options{Mutations: all, Root: ".", Parallel: *parallel, Out: os.Stdout})
}
