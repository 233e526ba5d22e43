package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"kedge/internal/summary"
	"kedge/internal/terminal"
	"kedge/proto"
)

// drawHost writes everything that is known of one host.
func drawHost(w io.Writer, v proto.HostView, now time.Time) {
	var t table
	line := func(name, format string, args ...any) { t.add(name, fmt.Sprintf(format, args...)) }
	line("Host", "%s", v.Host)
	switch {
	case v.Seen.IsZero():
		line("Seen", "never")
	case v.Silent:
		line("Seen", "%s ago: silent", terminal.Since(v.Seen, now))
	default:
		line("Seen", "%s ago", terminal.Since(v.Seen, now))
	}
	if v.Key != nil {
		drawKey(line, *v.Key, now)
	}
	if v.Rival != nil {
		line("Rival", "%s, %s ago", v.Rival.Message, terminal.Since(v.Rival.Seen, now))
	}
	if v.Want.Serial != 0 {
		line("Wanted", "%s as serial %s, revision %s, published %s ago",
			v.Want.Toplevel, v.Want.Serial, v.Want.Revision.Short(), terminal.Since(v.Want.Published, now))
		line("Release", "%s", terminal.Dash(v.Want.Release.String()))
	} else {
		line("Wanted", "nothing was ever published")
	}
	if c := v.Changes; c != nil {
		line("Changes", "%s", c)
	}
	if v.Waits != nil {
		line("Waits", "%s", summary.Wait(v.Waits, now))
	}
	if p := v.Problem; p != nil {
		line("Problem", "%s, of revision %s, %s ago", p.Reason, p.Revision.Short(), terminal.Since(p.Time, now))
	}
	if s := v.Status; s != nil {
		drawSystems(line, *s)
		drawDeployment(line, s.Deployment, now)
		for _, c := range s.Conditions {
			line(string(c.Type), "%s", summary.Because(string(c.Status), c.Reason, c.Message))
		}
	}
	t.draw(w)
	if c := v.Changes; c != nil && len(c.Packages) > 0 {
		fmt.Fprintf(w, "\nFrom %s to %s\n", c.From, c.To)
		drawChanges(w, *c)
	}
	if v.Problem != nil {
		drawLines(w, "\nProblem", []string{v.Problem.Message})
	}
	if v.Status != nil {
		drawFailed(w, "\n", v.Status.Deployment.Failed)
	}
}

type drawLine func(name, format string, args ...any)

func drawSystems(line drawLine, s proto.Status) {
	line("Runs", "%s", terminal.Dash(s.Systems.Current.String()))
	if name := s.Systems.Specialisation; name != "" {
		line("Specialisation", "%s of %s", name, s.Systems.Toplevel())
	}
	proven := terminal.Dash(s.Systems.Proven.String())
	if s.Systems.Proven == s.Systems.Toplevel() {
		proven = "the same"
	}
	line("Proven", "%s, revision %s", proven, s.Systems.Revision.Short())
	line("Generation", "%s", s.Systems.Generation)
	if s.Systems.Booted != s.Systems.Current {
		line("Booted", "%s", terminal.Dash(s.Systems.Booted.String()))
	}
	line("Agent", "%s", terminal.Dash(s.Agent))
}

func drawDeployment(line drawLine, d proto.DeploymentStatus, now time.Time) {
	if d.Phase == proto.PhaseNone {
		line("Deployment", "none yet")
		return
	}
	line("Deployment", "serial %s, revision %s: %s for %s, %s",
		d.Serial, d.Revision.Short(), d.Phase, terminal.Since(d.Since, now), d.Verdict)
	if d.Reason != "" || d.Message != "" {
		line("Reason", "%s", summary.Because(terminal.Dash(d.Reason), "", d.Message))
	}
	if len(d.Reboot) > 0 {
		line("Reboot", "changes %s", strings.Join(d.Reboot, ", "))
	}
	for _, c := range d.Checks {
		line("Check "+c.Name, "%s", outcomeOfCheck(c))
	}
}

func outcomeOfCheck(c proto.CheckResult) string {
	switch {
	case c.Passed:
		return fmt.Sprintf("passed in %s", c.Duration.Round(time.Microsecond))
	case c.Required:
		return summary.Because("failed, required", "", c.Message)
	default:
		return summary.Because("failed", "", c.Message)
	}
}

// drawFailed writes units that failed, each with its last lines of log.
func drawFailed(w io.Writer, before string, units []proto.FailedUnit) {
	for _, u := range units {
		drawLines(w, before+"Failed: "+terminal.Printable(u.Name), u.Log)
	}
}

func drawLines(w io.Writer, title string, lines []string) {
	fmt.Fprintln(w, title)
	for _, text := range lines {
		for _, l := range splitLines(text) {
			fmt.Fprintln(w, "  "+terminal.Printable(l))
		}
	}
}
