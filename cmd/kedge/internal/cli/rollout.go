package cli

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"kedge/internal/terminal"
	"kedge/proto"
	"kedge/proto/bus"
)

func (k *kedge) rollout() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rollout",
		Short: "Watch revisions go out to the hosts, wave by wave, and steer them",
		Long: `Watch revisions go out to the hosts, wave by wave, and steer them. Each channel has one
rollout at a time. It is named by its ID or by its channel, and need not be named
where there is only one channel.`,
	}
	cmd.AddCommand(k.rolloutList(), k.rolloutShow(), k.rolloutPlan())
	cmd.AddCommand(k.rolloutActs()...)
	return cmd
}

func (k *kedge) rolloutList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list [CHANNEL]",
		Short: "List the rollouts under way, those before them, and what is held",
		Args:  cobra.MaximumNArgs(1),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what the controller says, as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return k.withController(cmd.Context(), callTimeout, true, func(ctx context.Context, conn *bus.Conn) error {
			r, err := call[proto.RolloutListRequest, proto.RolloutListReply](ctx, conn, proto.EndpointRolloutList, proto.RolloutListRequest{Channel: first(args...)})
			if err != nil {
				return err
			}
			if asJSON {
				return terminal.WriteJSON(k.Stdout, r)
			}
			drawRollouts(k.Stdout, r.Rollouts, k.Now())
			drawHolds(k.Stdout, r.Holds, k.Now())
			return nil
		})
	}
	return cmd
}

func (k *kedge) rolloutShow() *cobra.Command {
	var asJSON, watch bool
	cmd := &cobra.Command{
		Use:   "show [ROLLOUT|CHANNEL]",
		Short: "Show a rollout: its waves, and how far each host is",
		Args:  cobra.MaximumNArgs(1),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what the controller says, as JSON")
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show every change, until interrupted")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		show := func(ctx context.Context, conn *bus.Conn, after uint64, wait time.Duration) (shown, error) {
			r, err := callRollout(ctx, conn, proto.RolloutShowRequest{Rollout: first(args...), After: after, Wait: wait})
			return shown{version: r.Version, answer: r, draw: func(w io.Writer) { drawRollout(w, r, k.Now()) }}, err
		}
		return k.withController(cmd.Context(), callTimeout, !watch, func(ctx context.Context, conn *bus.Conn) error {
			return k.shown(ctx, conn, show, asJSON, watch)
		})
	}
	return cmd
}

func (k *kedge) rolloutPlan() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "plan [ROLLOUT|CHANNEL]",
		Short: "Show which hosts go next, in their order, and why not yet",
		Args:  cobra.MaximumNArgs(1),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what the controller says, as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return k.withController(cmd.Context(), callTimeout, true, func(ctx context.Context, conn *bus.Conn) error {
			r, err := callPlan(ctx, conn, proto.RolloutPlanRequest{Rollout: first(args...)})
			if err != nil {
				return err
			}
			if asJSON {
				return terminal.WriteJSON(k.Stdout, r)
			}
			drawPlan(k.Stdout, r, k.Now())
			return nil
		})
	}
	return cmd
}

// callRollout asks for a rollout with all its hosts.
func callRollout(ctx context.Context, conn *bus.Conn, req proto.RolloutShowRequest) (proto.RolloutShowReply, error) {
	return allOfRollout(req, func(req proto.RolloutShowRequest) (proto.RolloutShowReply, error) {
		return call[proto.RolloutShowRequest, proto.RolloutShowReply](ctx, conn, proto.EndpointRolloutShow, req)
	})
}

// allOfRollout asks until it has every host. As with [allPages], the version is that of the
// first page.
func allOfRollout(req proto.RolloutShowRequest, ask func(proto.RolloutShowRequest) (proto.RolloutShowReply, error)) (proto.RolloutShowReply, error) {
	all, err := ask(req)
	for err == nil && !all.Continue.IsZero() {
		var page proto.RolloutShowReply
		page, err = ask(proto.RolloutShowRequest{Rollout: all.Rollout.ID, Continue: all.Continue})
		all.Hosts, all.Continue = append(all.Hosts, page.Hosts...), page.Continue
	}
	return all, err
}

// callPlan asks for the plan of a rollout with all hosts.
func callPlan(ctx context.Context, conn *bus.Conn, req proto.RolloutPlanRequest) (proto.RolloutPlanReply, error) {
	return allOfPlan(req, func(req proto.RolloutPlanRequest) (proto.RolloutPlanReply, error) {
		return call[proto.RolloutPlanRequest, proto.RolloutPlanReply](ctx, conn, proto.EndpointRolloutPlan, req)
	})
}

// allOfPlan asks until it has every host.
func allOfPlan(req proto.RolloutPlanRequest, ask func(proto.RolloutPlanRequest) (proto.RolloutPlanReply, error)) (proto.RolloutPlanReply, error) {
	all, err := ask(req)
	for err == nil && !all.Continue.IsZero() {
		var page proto.RolloutPlanReply
		page, err = ask(proto.RolloutPlanRequest{Rollout: all.Rollout.ID, Continue: all.Continue})
		all.Hosts, all.Continue = append(all.Hosts, page.Hosts...), page.Continue
	}
	return all, err
}
