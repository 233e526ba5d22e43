// Command demo shows Kedge's main job on hosts with real systemd and real Nix,
// and checks every claim on the hosts themselves. It needs root on Debian.
//
// The fleet is that of examples/fleet. Three revisions are pushed to a git
// repository: a first one, a changed service, and one whose service fails on one
// host. Then a host loses its power in the middle of a deployment. It exits 0 only
// if every claim holds.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"kedge/e2e/fleet"
	"kedge/e2e/hosts"
	"kedge/e2e/internal/command"
)

const (
	demoTimeout  = 15 * time.Minute // with the first preparation
	checkTimeout = 2 * time.Minute  // for one claim
)

func main() {
	o := options{fleet: "demo"}
	flag.BoolVar(&o.keep, "keep", false, "leave the hosts running at the end")
	flag.BoolVar(&o.down, "down", false, "take down what -keep left, and do nothing else")
	flag.Parse()
	ctx, stop := command.UntilStopped(context.Background())
	err := run(ctx, os.Stdout, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// options say what the demo does.
type options struct {
	fleet      string // its name, which begins that of everything it leaves
	keep, down bool
}

func run(ctx context.Context, out io.Writer, o options) (err error) {
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	swept, err := hosts.Sweep(ctx, o.fleet)
	if err != nil {
		return fmt.Errorf("remove what an earlier demo left: %w", err)
	}
	if o.down {
		fmt.Fprintf(out, "taken down: %v\n", swept)
		return nil
	}
	s := &show{out: out, began: time.Now()}
	s.say("prepare: tools, binaries and the hosts' root file system")
	parts, err := fleet.MakeParts(ctx, o.fleet+"-parts", func(line string) { s.say("  " + line) })
	if err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	kept := false
	defer func() {
		if !kept { // what is kept needs them, and is taken down together with them
			err = errors.Join(err, parts.Remove())
		}
	}()
	s.began = time.Now()
	s.say("boot the build host and web1, web2, db1 of examples/fleet, each behind a NAT of its own")
	f, err := fleet.Up(ctx, fleet.Options{Name: o.fleet, Hosts: []string{"web1", "web2", "db1"}, Parts: parts, Example: true, Outlive: o.keep})
	if err != nil {
		return fmt.Errorf("boot: %w", err)
	}
	s.fleet = f
	if err = s.perform(ctx); err == nil && o.keep {
		s.howToLook()
		kept = true
		return nil
	}
	if err != nil && !errors.Is(ctx.Err(), context.Canceled) { // somebody knows why
		s.explain(ctx)
	}
	return errors.Join(err, f.Down(ctx))
}
