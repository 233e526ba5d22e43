package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"kedge/agent"
	"kedge/agent/internal/control"
	"kedge/agent/internal/statefile"
	"kedge/internal/terminal"
	"kedge/proto"
)

func (h host) status() *cobra.Command {
	return look(h, &cobra.Command{
		Use:   "status",
		Short: "Show what this host runs, how its last deployment went, and what holds it back",
		Long: `Show what this host runs, how its last deployment went, and what holds it back.
Root may, and whoever is in the group that the configuration names. If the agent
does not answer, root is shown what its files say.`,
	}, control.Client.Status, func(p place) (proto.Status, error) {
		if _, err := p.files().Deployment(); errors.Is(err, fs.ErrPermission) {
			return proto.Status{}, err
		}
		return agent.StatusFromFiles(p.Host, p.StateDir, p.RuntimeDir, h.Now()), nil
	}, drawStatus)
}

func (h host) history() *cobra.Command {
	return look(h, &cobra.Command{
		Use:   "history",
		Short: "Show how the last deployments of this host ended, the newest last",
	}, control.Client.History, func(p place) (statefile.History, error) { return p.files().History() }, drawHistory)
}

// look makes cmd show what the agent answers, or else what its files say.
func look[T any](
	h host, cmd *cobra.Command,
	ask func(control.Client, context.Context) (T, error),
	read func(place) (T, error),
	draw func(w io.Writer, v T, now time.Time),
) *cobra.Command {
	var asJSON bool
	cmd.Args = cobra.NoArgs
	cmd.Flags().BoolVar(&asJSON, flagJSON, false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		p := h.place()
		v, err := ask(p.client(), cmd.Context())
		if errors.Is(err, control.ErrNoAgent) {
			fmt.Fprintf(h.Stderr, "the agent does not answer; its files in %s say:\n", p.StateDir)
			v, err = read(p)
		}
		if err != nil {
			return err
		}
		if asJSON {
			return terminal.WriteJSON(h.Stdout, v)
		}
		draw(h.Stdout, v, h.Now())
		return nil
	}
	return cmd
}

func drawStatus(w io.Writer, s proto.Status, now time.Time) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\n", terminal.Printable(name), terminal.Printable(fmt.Sprintf(format, args...)))
	}
	line("Host", "%s", terminal.Dash(s.Host.String()))
	line("Agent", "%s", terminal.Dash(s.Agent))
	line("Runs", "%s", terminal.Dash(s.Systems.Current.String()))
	if name := s.Systems.Specialisation; name != "" {
		line("Specialisation", "%s of %s", name, s.Systems.Toplevel())
	}
	line("Proven", "%s, revision %s", terminal.Dash(s.Systems.Proven.String()), s.Systems.Revision.Short())
	line("Generation", "%s", s.Systems.Generation)
	if s.Systems.Booted != s.Systems.Current {
		line("Booted", "%s", terminal.Dash(s.Systems.Booted.String()))
	}
	if d := s.Deployment; d.Phase == proto.PhaseNone {
		line("Deployment", "none yet")
	} else {
		line("Deployment", "serial %s, revision %s: %s for %s, %s", d.Serial, d.Revision.Short(), d.Phase, terminal.Since(d.Since, now), d.Verdict)
		if why := because(string(d.Reason), d.Message); why != "" {
			line("Reason", "%s", why)
		}
	}
	for _, c := range s.Conditions {
		line(string(c.Type), "%s", because(string(c.Status), string(c.Reason), c.Message))
	}
	_ = t.Flush() // an error of w shows where it is next written to
	drawFailed(w, s.Deployment.Failed)
}

func drawFailed(w io.Writer, units []proto.FailedUnit) {
	for _, u := range units {
		fmt.Fprintf(w, "\nFailed: %s\n", terminal.Printable(u.Name))
		for _, l := range u.Log {
			fmt.Fprintf(w, "  %s\n", terminal.Printable(l))
		}
	}
}

func drawHistory(w io.Writer, h statefile.History, _ time.Time) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "STARTED\tID\tREVISION\tVERDICT\tTOOK\tPHASES\tWHY")
	for _, p := range h.Deployments {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", p.Started.UTC().Format(time.RFC3339), terminal.Printable(p.ID), p.Revision.Short(),
			p.Verdict, terminal.Length(p.Since.Sub(p.Started)), phases(p), terminal.Printable(because(string(p.Reason), p.Message)))
	}
	_ = t.Flush() // an error of w shows where it is next written to
}

// phases writes how long a deployment was in which phase.
func phases(p statefile.Past) string {
	var parts []string
	// A later version may note what is no phase.
	entered := slices.DeleteFunc(slices.Clone(p.Steps), func(s statefile.Step) bool { return s.Phase == proto.PhaseNone })
	for i, s := range entered[:max(0, len(entered)-1)] {
		parts = append(parts, fmt.Sprintf("%s %s", s.Phase, terminal.Length(entered[i+1].Time.Sub(s.Time))))
	}
	return strings.Join(parts, ", ")
}
