// Command bench measures how fast a change of one service reaches the hosts,
// by Kedge and by hand: `go run ./e2e/bench [-n ROUNDS] [-json FILE]`, as root.
//
// It boots a build host and four hosts, and lets both flows take turns on
// them, so that what else the machine does slows both alike. By hand means the
// four steps of a person with SSH connections open already: `nix build`,
// `nix copy --to ssh://`, `nix-env --set`, `switch-to-configuration switch`.
// Several hosts get the last three side by side, which is the most that a script can do, and
// in other rounds one host after the other, as a loop over `nixos-rebuild` does.
// A change goes to one host or to all four; each round has a text of its own,
// and afterwards every host is asked whether it runs that, and nothing else.
//
// It prints medians and their ratios next to the targets, and fails only if
// something did not work: how fast it was is for the reader to judge.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"kedge/e2e/fleet"
	"kedge/e2e/hosts"
	"kedge/e2e/internal/command"
)

func main() {
	ctx, stop := command.UntilStopped(context.Background())
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// fleetName is the name of the benchmark's fleet: there is one at a time.
const fleetName = "bench"

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	n := flags.Int("n", 5, "measure each flow this `many` times")
	file := flags.String("json", "", "write everything that was measured to this `file`, too")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *n < 1 || flags.NArg() > 0 {
		return errors.New("usage: bench [-n ROUNDS] [-json FILE]")
	}
	say := func(line string) { _, _ = fmt.Fprintln(stderr, "bench:", line) } // nobody to tell if nobody listens

	f, down, err := up(ctx, say)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, down()) }()
	b, err := newBench(ctx, f, say)
	if err != nil {
		return err
	}
	rounds, err := b.run(ctx, *n)
	if err != nil {
		return err
	}
	memory, err := b.idleMemory(ctx)
	if err != nil {
		return err
	}
	r := newReport(rounds, memory)
	if *file != "" {
		if err := r.writeJSON(*file); err != nil {
			return err
		}
	}
	return r.writeTable(stdout)
}

// up makes the fleet, and returns how it is taken down again.
func up(ctx context.Context, say func(string)) (f *fleet.Fleet, down func() error, err error) {
	if _, err := hosts.Sweep(ctx, fleetName); err != nil {
		return nil, nil, err
	}
	parts, err := fleet.MakeParts(ctx, fleetName+"-parts", say)
	if err != nil {
		return nil, nil, err
	}
	say("boot the build host and four hosts")
	f, err = fleet.Up(ctx, fleet.Options{
		Name:    fleetName,
		Hosts:   []string{"web1", "web2", "web3", "web4"},
		Parts:   parts,
		Inbound: true,
		Terse:   true,
	})
	if err != nil {
		return nil, nil, errors.Join(err, parts.Remove())
	}
	return f, func() error { return errors.Join(f.Down(ctx), parts.Remove()) }, nil
}
