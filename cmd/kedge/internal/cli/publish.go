package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"kedge/internal/usage"
	"kedge/proto"
	"kedge/proto/bus"
)

func (k *kedge) publish() *cobra.Command {
	var wait bool
	mode := proto.ModeSwitch
	cmd := &cobra.Command{
		Use:   "publish HOST=STOREPATH...",
		Short: "Publish toplevels that the controller did not build",
		Long: `Publish toplevels that are in the controller's store and were built elsewhere.

Every path of their closures must carry the signature of a key that the
controller is configured to trust. If anything is wrong with any of them then
nothing is published. What is published stays until there is a newer revision.

The mode is what a host comes to: switch, in the way that its own configuration
says; boot, at its next boot; test, until its next boot; or dry-activate, which
only tells what would change.`,
		Args: cobra.MinimumNArgs(1),
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until every host has come to a verdict")
	cmd.Flags().TextVar(&mode, "mode", proto.ModeSwitch, "`MODE`: switch, boot, test or dry-activate")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		targets, err := parseTargets(args, mode)
		if err != nil {
			return err
		}
		limit := publishTimeout
		if wait {
			limit = waitTimeout
		}
		return k.withController(cmd.Context(), limit, true, func(ctx context.Context, conn *bus.Conn) error {
			r, err := call[proto.PublishRequest, proto.PublishReply](ctx, conn, proto.EndpointPublish, proto.PublishRequest{Targets: targets})
			switch {
			case err == nil:
			case ctx.Err() != nil: // the controller does not know that nobody waits
				return stopped(ctx, fmt.Errorf("%w; it may be published all the same, see kedge status", err), wait)
			default:
				return err
			}
			for _, p := range r.Published {
				fmt.Fprintf(k.Stdout, "%s: published as serial %s\n", p.Host, p.Serial)
			}
			if !wait {
				return nil
			}
			return k.await(ctx, conn, judgePublished(r.Published))
		})
	}
	return cmd
}

// parseTargets parses HOST=STOREPATH arguments, and reports all that are wrong.
func parseTargets(args []string, mode proto.Mode) ([]proto.PublishTarget, error) {
	var targets []proto.PublishTarget
	var problems []error
	for _, a := range args {
		name, path, found := strings.Cut(a, "=")
		host, hostErr := proto.ParseHostName(name)
		toplevel, pathErr := proto.ParseStorePath(path)
		if !found {
			problems = append(problems, fmt.Errorf("%q: want HOST=STOREPATH", a))
			continue
		}
		problems = append(problems, hostErr, pathErr)
		targets = append(targets, proto.PublishTarget{Host: host, Toplevel: toplevel, Mode: mode})
	}
	if err := errors.Join(problems...); err != nil {
		return nil, &usage.Error{Err: err}
	}
	return targets, nil
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
