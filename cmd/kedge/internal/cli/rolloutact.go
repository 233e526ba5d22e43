package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"kedge/internal/summary"
	"kedge/internal/terminal"
	"kedge/internal/usage"
	"kedge/proto"
	"kedge/proto/bus"
)

// rolloutActs are the commands that steer rollouts.
func (k *kedge) rolloutActs() []*cobra.Command {
	pause := k.rolloutAct(proto.RolloutActPause, "Give nobody anything new until resumed",
		`Give nobody anything new until resumed. Hosts that have something new already go on
with it, as always.`)
	resume := k.rolloutAct(proto.RolloutActResume, "End a pause", "")
	promote := k.rolloutAct(proto.RolloutActPromote, "End a soak, or approve a wave",
		`End the soak that the rollout is in, or let the wave go that waits for an approval;
one of them, and nothing else. kedge says which; if the rollout waits for something else
when the controller hears of it, nothing is promoted. Budgets and windows hold all the
same.`)
	abort := k.rolloutAct(proto.RolloutActAbort, "End a rollout; hosts keep what they have",
		`End a rollout: nobody else gets its revision. Hosts keep what they have; kedge rollout
revert has them go back. The next revision begins a rollout as ever.`)
	retry := k.rolloutAct(proto.RolloutActRetry, "Go on with a halted rollout; hosts that failed try again",
		`Go on with a halted rollout. Hosts that failed, or are silent, are given the revision
once more, under a new serial, and are counted anew.`)
	acts := []*cobra.Command{
		pause, resume, promote, abort, retry, k.rolloutRevert(), k.rolloutHold(), k.rolloutRelease(), k.rolloutFreeze(), k.rolloutThaw(),
	}
	for _, cmd := range acts {
		cmd.Flags().BoolVar(&k.asJSON, "json", false, "print what the controller says, as JSON")
	}
	return acts
}

// rolloutAct is the command of an act on a rollout that needs nothing else.
func (k *kedge) rolloutAct(act proto.RolloutAct, short, long string) *cobra.Command {
	req := proto.RolloutActRequest{Act: act}
	cmd := &cobra.Command{Use: string(act) + " [ROLLOUT|CHANNEL]", Short: short, Long: long, Args: cobra.MaximumNArgs(1)}
	cmd.Flags().StringVar(&req.Reason, "reason", "", "why, for the others and the audit")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		req.Rollout = first(args...)
		return k.act(cmd.Context(), req)
	}
	return cmd
}

func (k *kedge) rolloutRevert() *cobra.Command {
	cmd := k.rolloutAct(proto.RolloutActRevert, "Have the hosts that went go back to what they had",
		`Have the hosts that were given the rollout's revision go back to what they had before;
nobody else is given it. Or, with --to, have the channel's hosts go back to an earlier
revision, or to what an earlier rollout gave them. Either way they are given something
that is older under a new serial. It goes without soaks, canaries, approvals and
windows, with as many hosts at a time as ever.

The repository is not changed: revert the commit there, too, or the next push brings
it back.`)
	req := proto.RolloutActRequest{Act: proto.RolloutActRevert}
	cmd.Flags().StringVar(&req.To, "to", "", "an earlier rollout's ID, or its revision")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		req.Rollout, req.Reason = first(args...), cmd.Flag("reason").Value.String()
		return k.act(cmd.Context(), req)
	}
	return cmd
}

func (k *kedge) rolloutHold() *cobra.Command {
	req := proto.RolloutActRequest{Act: proto.RolloutActHold}
	cmd := &cobra.Command{
		Use:   "hold HOST... --reason REASON",
		Short: "Give hosts nothing new until released",
		Long: `Give hosts nothing new until released, whatever is pushed. They hold nobody else up. A
host may also be held in the flake: kedge.hosts.NAME.hold.`,
		Args: cobra.MinimumNArgs(1),
	}
	cmd.Flags().StringVar(&req.Reason, "reason", "", "why (required)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return k.actOnHosts(cmd.Context(), req, args) }
	return cmd
}

func (k *kedge) rolloutRelease() *cobra.Command {
	req := proto.RolloutActRequest{Act: proto.RolloutActRelease}
	cmd := &cobra.Command{Use: "release HOST...", Short: "End a hold", Args: cobra.MinimumNArgs(1)}
	cmd.Flags().StringVar(&req.Reason, "reason", "", "why, for the audit")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return k.actOnHosts(cmd.Context(), req, args) }
	return cmd
}

// actOnHosts is act for an act on the hosts that arguments name.
func (k *kedge) actOnHosts(ctx context.Context, req proto.RolloutActRequest, args []string) (err error) {
	if req.Hosts, err = parseHosts(args); err != nil {
		return err
	}
	return k.act(ctx, req)
}

func (k *kedge) rolloutFreeze() *cobra.Command {
	req := proto.RolloutActRequest{Act: proto.RolloutActFreeze}
	cmd := &cobra.Command{
		Use:   "freeze [CHANNEL] --reason REASON",
		Short: "Give nobody anything new until thawed, whatever is pushed",
		Long: `Give the hosts of a channel, or of all, nothing new until thawed, whatever is pushed.
Unlike a pause it outlasts the rollout. What goes back is not held up. The flake may
say so, too: kedge.rollout.freeze.`,
		Args: cobra.MaximumNArgs(1),
	}
	cmd.Flags().StringVar(&req.Reason, "reason", "", "why (required)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		req.Rollout = first(args...)
		return k.act(cmd.Context(), req)
	}
	return cmd
}

func (k *kedge) rolloutThaw() *cobra.Command {
	req := proto.RolloutActRequest{Act: proto.RolloutActThaw}
	cmd := &cobra.Command{Use: "thaw [CHANNEL]", Short: "End a freeze", Args: cobra.MaximumNArgs(1)}
	cmd.Flags().StringVar(&req.Reason, "reason", "", "why, for the audit")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		req.Rollout = first(args...)
		return k.act(cmd.Context(), req)
	}
	return cmd
}

// act asks for an act, and shows how things stand after it.
func (k *kedge) act(ctx context.Context, req proto.RolloutActRequest) error {
	if req.Reason == "" && (req.Act == proto.RolloutActHold || req.Act == proto.RolloutActFreeze) {
		return usage.Errorf("--reason: must be set: others will ask why")
	}
	if n := len(req.Reason); n > proto.MaxActReason {
		return usage.Errorf("--reason: must have at most %d bytes, has %d", proto.MaxActReason, n)
	}
	return k.withController(ctx, callTimeout, true, func(ctx context.Context, conn *bus.Conn) (err error) {
		switch req.Act {
		case proto.RolloutActPause, proto.RolloutActResume, proto.RolloutActPromote, proto.RolloutActAbort, proto.RolloutActRetry, proto.RolloutActRevert:
			if req, err = k.meant(ctx, conn, req); err != nil {
				return err
			}
		case proto.RolloutActHold, proto.RolloutActRelease, proto.RolloutActFreeze, proto.RolloutActThaw: // concern no rollout
		}
		r, err := call[proto.RolloutActRequest, proto.RolloutActReply](ctx, conn, proto.EndpointRolloutAct, req)
		if err != nil {
			return err
		}
		if r.Again {
			fmt.Fprintln(k.Stderr, terminal.Printable(alreadySo(req, r)))
		}
		if k.asJSON {
			return terminal.WriteJSON(k.Stdout, r)
		}
		if r.Rollout != nil {
			_, err = fmt.Fprintln(k.Stdout, summary.Rollout(*r.Rollout, k.Now()))
			return err
		}
		drawHolds(k.Stdout, r.Holds, k.Now())
		return nil
	})
}

// alreadySo says that what was asked for was so already, and that nothing was done.
func alreadySo(req proto.RolloutActRequest, r proto.RolloutActReply) string {
	switch {
	case r.Rollout != nil && req.To != "":
		return fmt.Sprintf("rollout %s goes back to %s already", r.Rollout.ID, req.To)
	case r.Rollout != nil:
		return fmt.Sprintf("rollout %s is %s already", r.Rollout.ID, r.Rollout.State)
	case len(req.Hosts) > 0:
		return "not held: " + hostList(req.Hosts)
	case req.Rollout != "":
		return "channel " + req.Rollout + " was not frozen"
	}
	return "nothing was frozen"
}

// meant returns req with the ID of the rollout that it names now and, to promote, with what
// that waits for now; and says what these are. So it is done to no rollout, and to no wave,
// that comes in between, and once if two people ask for it at once.
func (k *kedge) meant(ctx context.Context, conn *bus.Conn, req proto.RolloutActRequest) (proto.RolloutActRequest, error) {
	r, err := call[proto.RolloutShowRequest, proto.RolloutShowReply](ctx, conn, proto.EndpointRolloutShow, proto.RolloutShowRequest{Rollout: req.Rollout, Limit: 1})
	if err != nil {
		return req, err
	}
	now := r.Rollout
	req.Rollout = now.ID
	said := fmt.Sprintf("%s rollout %s of channel %s", req.Act, now.ID, now.Channel)
	if req.Act == proto.RolloutActPromote {
		req.Promotes = &now.Promotes
		if p := now.Promotes; p.Ends != "" && p.Wave < len(now.Waves) {
			said += ": " + p.Ends.Of(now.Waves[p.Wave].Name)
		}
	}
	_, err = fmt.Fprintln(k.Stderr, terminal.Printable(said))
	return req, err
}
