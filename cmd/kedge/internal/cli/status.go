package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"kedge/internal/summary"
	"kedge/internal/terminal"
	"kedge/internal/usage"
	"kedge/proto"
	"kedge/proto/bus"
)

// clearScreen moves to the top of a terminal and erases what follows.
const clearScreen = "\x1b[H\x1b[2J"

func (k *kedge) status() *cobra.Command {
	var asJSON, watch bool
	cmd := &cobra.Command{
		Use:   "status [HOST]",
		Short: "Show what the hosts run, and how their last deployment went",
		Args:  cobra.MaximumNArgs(1),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what the controller says, as JSON")
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show every change, until interrupted")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		show := k.showFleet
		if len(args) == 1 {
			host, err := parseHost(args[0])
			if err != nil {
				return err
			}
			show = k.showHost(host)
		}
		return k.withController(cmd.Context(), callTimeout, !watch, func(ctx context.Context, conn *bus.Conn) error {
			return k.shown(ctx, conn, show, asJSON, watch)
		})
	}
	return cmd
}

// A view asks for something newer than a version, and returns that version, the
// answer itself, and how to draw it. It returns at once if after is zero.
type view func(ctx context.Context, conn *bus.Conn, after uint64, wait time.Duration) (shown, error)

// shown is one state of a view.
type shown struct {
	version uint64
	answer  any
	draw    func(io.Writer)
}

// shown shows v once, or watches it until ctx ends, however long the controller
// does not answer in between.
func (k *kedge) shown(ctx context.Context, conn *bus.Conn, v view, asJSON, watch bool) error {
	out := outage{w: k.Stderr}
	for after := uint64(0); ; {
		s, err := v(ctx, conn, after, proto.MaxWait)
		switch {
		case ctx.Err() != nil && watch:
			return nil // interrupted, as intended
		case err != nil && watch && after != 0 && passing(err):
			out.goesOn(err)
			pause(ctx)
			continue
		case err != nil:
			return err
		case out.ends() && k.Terminal, s.version != after:
			if err := k.print(s, asJSON, watch); err != nil {
				return err
			}
		}
		if after = s.version; !watch {
			return nil
		}
	}
}

func (k *kedge) print(s shown, asJSON, watch bool) error {
	if asJSON {
		return terminal.WriteJSON(k.Stdout, s.answer)
	}
	if watch && k.Terminal {
		fmt.Fprint(k.Stdout, clearScreen)
	}
	s.draw(k.Stdout)
	if watch && !k.Terminal {
		fmt.Fprintln(k.Stdout)
	}
	return nil
}

func (k *kedge) showFleet(ctx context.Context, conn *bus.Conn, after uint64, wait time.Duration) (shown, error) {
	r, err := callFleet(ctx, conn, proto.FleetRequest{After: after, Wait: wait})
	return shown{version: r.Version, answer: r, draw: func(w io.Writer) { drawFleet(w, r, k.Now()) }}, err
}

func (k *kedge) showHost(host proto.HostName) view {
	return func(ctx context.Context, conn *bus.Conn, after uint64, wait time.Duration) (shown, error) {
		r, err := call[proto.HostRequest, proto.HostReply](ctx, conn, proto.EndpointHost, proto.HostRequest{Host: host, After: after, Wait: wait})
		return shown{version: r.Version, answer: r, draw: func(w io.Writer) { drawHost(w, r.Host, k.Now()) }}, err
	}
}

// drawFleet writes a line for each rollout under way, and for each host, and what is
// wrong with the sources.
func drawFleet(w io.Writer, r proto.FleetReply, now time.Time) {
	drawUnderWay(w, r.Rollouts, now)
	t := table{{"HOST", "GENERATION", "REVISION", "PHASE", "VERDICT", "SINCE", "NOTE"}}
	for _, v := range r.Hosts {
		var s proto.Status
		if v.Status != nil {
			s = *v.Status
		}
		d := s.Deployment
		t.add(v.Host.String(), s.Systems.Generation.String(), s.Systems.Revision.Short(),
			terminal.Dash(d.Phase), terminal.Dash(d.Verdict), terminal.Since(d.Since, now), summary.Host(v, now))
	}
	t.draw(w)
	for _, s := range r.Sources {
		if s.Error != "" {
			fmt.Fprintf(w, "\nchannel %s: %s\n", s.Channel, terminal.Printable(summary.Because(string(s.Reason), "", s.Error)))
		}
		if p := s.Over(); p != nil {
			fmt.Fprintf(w, "\nchannel %s: the branch was pushed over: %s does not follow from %s, which was deployed before it\n", s.Channel, p.Revision.Short(), p.Over.Short())
		}
	}
}

// parseHost parses an argument that names a host.
func parseHost(s string) (proto.HostName, error) {
	h, err := proto.ParseHostName(s)
	if err != nil {
		return h, usage.Errorf("%w", err)
	}
	return h, nil
}

// parseHosts parses arguments that name hosts. Naming one twice is naming it.
func parseHosts(args []string) ([]proto.HostName, error) {
	var hosts []proto.HostName
	for _, a := range args {
		h, err := parseHost(a)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(hosts, h) {
			hosts = append(hosts, h)
		}
	}
	return hosts, nil
}
