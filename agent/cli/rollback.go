package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"kedge/agent/internal/control"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/internal/terminal"
	"kedge/internal/usage"
	"kedge/proto"
)

func (h host) rollback() *cobra.Command {
	var r control.RollBackRequest
	var to uint64
	var wait bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "rollback",
		Short: "Go back to the system that was proven before, or to a generation",
		Long: `Go back to the system that was proven before the one that is, by a deployment like
every other: it is activated, judged, and committed or gone back from. If something
else runs than what was proven, that is brought back. The system that is left is not
deployed here again until it is lifted, or for a day.

If a deployment waits for the next boot, for the time of its reboot, or for somebody
to confirm it, that is taken back instead. A way back that waits is taken back by naming
the generation that is proven with --to.

While a deployment is being activated or on probation, that goes back; this needs no
agent.

Asked again without --to and --reboot it goes no further, whether that way back waits,
is under way or done: name a generation with --to. One that is under way is ended by
naming the generation that is proven.`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().Uint64Var(&to, "to", 0, "go to this `GENERATION` of the system profile")
	cmd.Flags().BoolVar(&r.Reboot, "reboot", false, "go there by a reboot, now, also where the policy is to wait for a person")
	cmd.Flags().StringVar(&r.Reason, flagReason, "", "why, for others to see")
	cmd.Flags().BoolVar(&wait, flagWait, false, "wait for the end, and say whether it was that")
	cmd.Flags().DurationVar(&timeout, flagTimeout, waitTimeout, "with --wait: give up after this long")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.Flags().Changed("to") && to == 0 {
			return usage.Errorf("--to must be the number of a generation")
		}
		p := h.place()
		r.To, r.By = proto.Generation(to), h.by()
		id, taken, err := h.goBack(cmd.Context(), p, r)
		if err != nil || !wait {
			return err
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
		defer cancel()
		return h.awaitBack(ctx, p.files(), id, taken)
	}
	return cmd
}

// goBack begins to, and returns the ID of the deployment that does; or of the one that is
// taken back.
func (h host) goBack(ctx context.Context, p place, r control.RollBackRequest) (id string, taken bool, err error) {
	d, err := p.files().Deployment()
	if err != nil {
		return "", false, err
	}
	if d.InTransaction() {
		taken, err = h.recall(p.files(), d, r)
		return d.ID, taken, err
	}
	s, err := p.client().RollBack(ctx, r)
	if err != nil {
		return "", false, err
	}
	does := "goes back"
	switch {
	case s.ID != d.ID:
	case s.Phase == proto.PhaseStaged || s.Phase == proto.PhaseArmed:
		does = "goes back already, and waits for its boot"
	case s.Phase == proto.PhaseSuperseded || s.Phase == proto.PhaseRollingBack:
		does, taken = "is taken back", true
	default:
		does = "goes back already"
	}
	_, err = fmt.Fprintf(h.Stdout, "%s: %s\n", terminal.Printable(s.ID), does)
	return s.ID, taken, err
}

// recall makes a deployment go back that is under way. One that somebody asked for in the
// same way is what is wanted: it must not be gone back from because its answer was lost.
// Whoever names what is proven means that.
func (h host) recall(files statefile.Dir, d deployment.Deployment, r control.RollBackRequest) (taken bool, err error) {
	plain, proven := r.To == 0 && !r.Reboot, r.To != 0 && r.To == d.Proven.Generation && !r.Reboot
	switch {
	case plain && wantedBack(d):
		_, err := fmt.Fprintf(h.Stdout, "%s: goes back already\n", terminal.Printable(d.ID))
		return false, err
	case !plain && !proven:
		how := "without --to and --reboot"
		if wantedBack(d) {
			how = fmt.Sprintf("with --to %s alone", d.Proven.Generation)
		}
		return false, fmt.Errorf("deployment %s is under way and can only go back to what was proven: ask %s", d.ID, how)
	case d.Phase == proto.PhaseRollingBack: // it does already
	case d.Phase != proto.PhaseActivating && d.Phase != proto.PhaseProbation:
		return false, fmt.Errorf("deployment %s is %s, which cannot be ended: ask again when that is over", d.ID, d.Phase)
	default:
		if err := files.Recall(statefile.Recall{Deployment: d.ID, By: r.By, Reason: r.Reason}); err != nil {
			return false, err
		}
	}
	_, err = fmt.Fprintf(h.Stdout, "%s: goes back to %s\n", terminal.Printable(d.ID), d.Proven.Toplevel)
	return true, err
}

// wantedBack reports whether d goes where somebody wanted who asked for a rollback without
// --to and --reboot.
func wantedBack(d deployment.Deployment) bool { return d.Plain && d.Phase != proto.PhaseRollingBack }

// awaitBack waits for the end of a deployment, which goes back or is taken back, and fails
// unless it left the host where somebody wanted it.
func (h host) awaitBack(ctx context.Context, files statefile.Dir, id string, taken bool) error {
	var end statefile.Past
	err := files.Await(ctx, statefile.DeploymentFile, func() (over bool, err error) {
		end, over, err = ending(files, id)
		return over, err
	})
	switch {
	case err == nil:
		return h.back(end, taken)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%w: deployment %s has not ended: %w", errLate, id, err)
	}
	return err
}

// ending returns how a deployment ended, and whether it has.
func ending(files statefile.Dir, id string) (end statefile.Past, over bool, err error) {
	d, err := files.Deployment()
	if err != nil || d.ID == id {
		return statefile.NewPast(d), d.Terminal(), err
	}
	h, err := files.History()
	if err != nil {
		return end, false, err
	}
	i := slices.IndexFunc(h.Deployments, func(p statefile.Past) bool { return p.ID == id })
	if i < 0 {
		return end, false, errors.New("another deployment took the place of " + id)
	}
	return h.Deployments[i], true, nil
}

func (h host) back(end statefile.Past, taken bool) error {
	why := terminal.Printable(because(string(end.Phase), string(end.Reason), end.Message))
	wanted := []proto.Phase{proto.PhaseCommitted}
	switch {
	case taken:
		wanted = []proto.Phase{proto.PhaseSuperseded, proto.PhaseRolledBack, proto.PhaseInconclusive}
	case restores(end):
		wanted = []proto.Phase{proto.PhaseRolledBack, proto.PhaseInconclusive}
	}
	if end.Reason != proto.ReasonRolledBackByHand || !slices.Contains(wanted, end.Phase) {
		return &badEndError{why: why}
	}
	_, err := fmt.Fprintln(h.Stdout, why)
	return err
}

// restores reports whether a deployment was there to bring back what was proven: it is on its
// way back from the beginning.
func restores(p statefile.Past) bool {
	i := slices.IndexFunc(p.Steps, func(s statefile.Step) bool { return s.Phase == proto.PhaseRollingBack })
	return i > 0 && p.Steps[i-1].Phase == proto.PhaseFetched
}
