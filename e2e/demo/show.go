package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"kedge/e2e/fleet"
	"kedge/proto"
)

// A show prints what it does, a line for each step, and checks claims.
type show struct {
	out   io.Writer
	began time.Time
	fleet *fleet.Fleet
}

func (s *show) say(line string) {
	fmt.Fprintf(s.out, "%6.1f s  %s\n", time.Since(s.began).Seconds(), line)
}

// claim prints a claim and whether it holds.
func (s *show) claim(holds bool, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if !holds {
		return fmt.Errorf("does not hold: %s", text)
	}
	s.say("  ok: " + text)
	return nil
}

// ends waits until the host's deployment of rev ends, and claims how.
func (s *show) ends(ctx context.Context, h *fleet.Host, rev proto.Revision, want proto.Phase) (proto.HostView, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	v, err := h.AwaitView(ctx, fmt.Sprintf("revision %s to end", rev.Short()), func(v proto.HostView) bool {
		// What the power interrupted is tried once more.
		return v.Status != nil && v.Status.Deployment.Revision == rev &&
			v.Status.Deployment.Phase.Terminal() && v.Status.Deployment.Phase != proto.PhaseInconclusive
	})
	if err != nil {
		return v, err
	}
	d := v.Status.Deployment
	return v, s.claim(d.Phase == want, "%s %s %s %s", h.Name(), d.Phase, rev.Short(), d.Message)
}

// runs claims that everything on the host itself names one system, and that
// its service answers as in a revision.
func (s *show) runs(ctx context.Context, h *fleet.Host, revision int) error {
	service := "nginx.service"
	if h.Name() == "db1" {
		service = "postgresql.service"
	}
	f, err := h.Facts(ctx)
	if err != nil {
		return err
	}
	state, err := h.Run(ctx, "systemctl", "is-active", service, "sshd.service", "kedge-agent.service")
	if err != nil {
		return fmt.Errorf("%s: units are %q: %w", h.Name(), state, err)
	}
	return s.claim(f.One() && f.App == fleet.Answer(h.Name(), revision), "%s: current-system, profile (%s) and boot default are one; %s answers %q",
		h.Name(), f.Generation, service, f.App)
}

// table prints the fleet as an operator sees it.
func (s *show) table(ctx context.Context) error {
	out, err := s.fleet.Kedge(ctx, "status")
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		fmt.Fprintf(s.out, "          %s", line)
	}
	return nil
}

// explain prints what may help to see why a claim does not hold.
func (s *show) explain(ctx context.Context) {
	s.fleet.Dump(ctx, func(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) })
}

// howToLook tells what can be done with the running hosts.
func (s *show) howToLook() {
	fmt.Fprintf(s.out, "\nThe hosts keep running. Look around:\n")
	const on = "  nsenter --target %d --all env PATH=/run/current-system/sw/bin:$PATH "
	fmt.Fprintf(s.out, on+"kedge status\n", s.fleet.Build().LeaderPID())
	for _, h := range s.fleet.Hosts() {
		fmt.Fprintf(s.out, on+"bash  # on %s\n", h.LeaderPID(), h.Name())
	}
	fmt.Fprintf(s.out, "The flake, which is examples/fleet, is in %s on the build host: change it, commit and `git push origin main`.\n", fleet.Worktree)
	fmt.Fprintf(s.out, "Take everything down: go run ./e2e/demo -down\n")
}
