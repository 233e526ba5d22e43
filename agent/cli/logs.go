package cli

import (
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/proto"
)

func (h host) logs() *cobra.Command {
	var id string
	var follow bool
	cmd := &cobra.Command{
		Use:   "logs",
		Short: "Show the journal of the last deployment that was activated",
		Args:  cobra.NoArgs,
	}
	cmd.Flags().StringVar(&id, "deployment", "", "of the one with this `ID`; see history")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "show what is added, until interrupted")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if id == "" {
			var err error
			if id, err = lastActivated(h.place().files()); err != nil {
				return err
			}
		}
		argv := []string{"journalctl", "--unit=" + deployment.Deployment{ID: id}.Unit()}
		if follow {
			argv = append(argv, "--follow")
		}
		return h.run(cmd.Context(), argv...)
	}
	return cmd
}

// errNothingActivated says that there is no journal of a deployment.
var errNothingActivated = errors.New("no deployment was activated yet")

// lastActivated returns the ID of the last deployment that a transaction ran
// for.
func lastActivated(files statefile.Dir) (string, error) {
	d, err := files.Deployment()
	if err != nil {
		return "", err
	}
	h, err := files.History()
	if err != nil {
		return "", err
	}
	for _, p := range slices.Backward(append(h.Deployments, statefile.NewPast(d))) {
		if slices.ContainsFunc(p.Steps, func(s statefile.Step) bool { return s.Phase == proto.PhaseActivating }) {
			return p.ID, nil
		}
	}
	return "", errNothingActivated
}
