package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"kedge/internal/terminal"
	"kedge/internal/usage"
	"kedge/proto"
	"kedge/proto/bus"
)

func (k *kedge) publish() *cobra.Command {
	var wait, downgrade bool
	mode := proto.ModeSwitch
	cmd := &cobra.Command{
		Use:   "publish FILE|HOST=STOREPATH...",
		Short: "Publish toplevels that the controller did not build",
		Long: `Publish toplevels that were built elsewhere: in releases that were signed there
(kedge release sign), one in each file, or bare ones, for which the controller signs
a release, if it holds a release key.

A file may also have the assignment with it, signed by a spare key (kedge release
assign); or be a list of withdrawals (kedge release withdraw), which is told to every
host before anything is published.

Every path of their closures must carry the signature of a key that the
controller is configured to trust; it must be in the controller's store, or, for a
release, in one of the caches that it fetches from (cache.from). If anything is wrong
with any of them then nothing is published. What is published stays until there is a
newer revision, or release. A release that is older than one that was published
before is refused, unless that is what is wanted.

The mode is what a host comes to: switch, in the way that its own configuration
says; boot, at its next boot; test, until its next boot; or dry-activate, which
only tells what would change.`,
		Args: cobra.MinimumNArgs(1),
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until every host has come to a verdict")
	cmd.Flags().BoolVar(&downgrade, "downgrade", false, "publish a release though a newer one was published before")
	cmd.Flags().TextVar(&mode, "mode", proto.ModeSwitch, "`MODE`: switch, boot, test or dry-activate")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		what, err := parsePublications(args, mode, downgrade)
		if err != nil {
			return err
		}
		limit := publishTimeout
		if wait {
			limit = waitTimeout
		}
		return k.withController(cmd.Context(), limit, true, func(ctx context.Context, conn *bus.Conn) error {
			for _, list := range what.withdrawals {
				if err := k.publishWithdrawals(ctx, conn, list); err != nil {
					return err
				}
			}
			if len(what.targets) == 0 {
				return nil
			}
			r, err := call[proto.PublishRequest, proto.PublishReply](ctx, conn, proto.EndpointPublish, proto.PublishRequest{Targets: what.targets})
			switch {
			case err == nil:
			case ctx.Err() != nil: // the controller does not know that nobody waits
				return stopped(ctx, fmt.Errorf("%w; it may be published all the same, see kedge status", err), wait)
			default:
				return err
			}
			for _, p := range r.Published {
				fmt.Fprintf(k.Stdout, "%s: published as serial %s\n", p.Host, p.Serial)
				if p.Changes != nil {
					fmt.Fprintf(k.Stdout, "%s: %s\n", p.Host, terminal.Printable(p.Changes.String()))
				}
			}
			if !wait {
				return nil
			}
			return k.await(ctx, conn, judgePublished(r.Published))
		})
	}
	return cmd
}

// publications are what is to be published.
type publications struct {
	targets     []proto.PublishTarget
	withdrawals []proto.Envelope
}

// parsePublications parses arguments, which name files or say HOST=STOREPATH, and
// reports all that are wrong.
func parsePublications(args []string, mode proto.Mode, downgrade bool) (publications, error) {
	var p publications
	var problems []error
	for _, a := range args {
		problems = append(problems, p.add(a))
	}
	if len(p.withdrawals) > 1 { // once the last one is published, the others are too old to repeat it all
		problems = append(problems, errors.New("several lists of withdrawals: the last one has all that those before it have, and is enough"))
	}
	for i := range p.targets {
		p.targets[i].Mode, p.targets[i].Downgrade = mode, downgrade
	}
	if err := errors.Join(problems...); err != nil {
		return p, &usage.Error{Err: err}
	}
	return p, nil
}

func (p *publications) add(arg string) error {
	name, path, bare := strings.Cut(arg, "=")
	if bare {
		host, hostErr := proto.ParseHostName(name)
		toplevel, pathErr := proto.ParseStorePath(path)
		p.targets = append(p.targets, proto.PublishTarget{Host: host, Toplevel: toplevel})
		return errors.Join(hostErr, pathErr)
	}
	e, err := readEnvelope(arg)
	if d, notThat := readAssigned(arg); notThat == nil {
		p.targets = append(p.targets, proto.PublishTarget{Release: &d.Release, Assignment: &d.Assignment})
		return nil
	}
	switch {
	case err != nil:
		return fmt.Errorf("%q is neither HOST=STOREPATH nor a signed file: %w", arg, err)
	case e.PayloadType == proto.PayloadWithdrawals:
		p.withdrawals = append(p.withdrawals, e)
	default:
		p.targets = append(p.targets, proto.PublishTarget{Release: &e})
	}
	return nil
}

// judgePublished waits for what was published just now.
func judgePublished(published []proto.Published) judge {
	return func(r proto.FleetReply) ([]judged, bool, error) {
		views := map[proto.HostName]proto.HostView{}
		for _, v := range r.Hosts {
			views[v.Host] = v
		}
		var verdicts []judged
		for _, p := range published {
			o, why := outcomeOf(views[p.Host], p.Serial)
			verdicts = append(verdicts, judged{host: p.Host, outcome: o, why: why})
		}
		return verdicts, allEnded(verdicts), nil
	}
}
