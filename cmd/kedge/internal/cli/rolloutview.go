package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"kedge/internal/terminal"
	"kedge/proto"
)

// drawRollouts writes a line for each rollout.
func drawRollouts(w io.Writer, rollouts []proto.RolloutView, now time.Time) {
	t := table{{"CHANNEL", "ROLLOUT", "REVISION", "STATE", "WAVE", "SUCCEEDED", "FAILED", "AGE", "NOTE"}}
	for _, r := range rollouts {
		n := total(r)
		t.add(r.Channel, r.ID, r.Revision.Short(), string(r.State), waveOf(r),
			fmt.Sprintf("%d/%d", n.Succeeded, n.Hosts), strconv.Itoa(n.Failed), terminal.Since(r.Created, now), whyOf(r))
	}
	t.draw(w)
}

// drawUnderWay writes a line for each rollout that has not come to a good end, and a
// blank one after them.
func drawUnderWay(w io.Writer, rollouts []proto.RolloutView, now time.Time) {
	drawn := false
	for _, r := range rollouts {
		if r.State != proto.RolloutDone {
			fmt.Fprintln(w, rolloutLine(r, now))
			drawn = true
		}
	}
	if drawn {
		fmt.Fprintln(w)
	}
}

// drawHolds writes a line for all that is held, if anything is.
func drawHolds(w io.Writer, holds []proto.RolloutHold, now time.Time) {
	for _, h := range holds {
		what := "every channel is frozen"
		switch {
		case !h.Host.IsZero():
			what = h.Host.String() + " is held"
		case h.Channel != "":
			what = "channel " + h.Channel + " is frozen"
		}
		fmt.Fprintln(w, terminal.Printable(fmt.Sprintf("%s for %s by %s: %s", what, terminal.Since(h.Since, now), h.By, h.Reason)))
	}
}

// drawRollout writes a rollout, its waves, and a line for each of its hosts.
func drawRollout(w io.Writer, r proto.RolloutShowReply, now time.Time) {
	fmt.Fprintf(w, "%s\n\n", rolloutLine(r.Rollout, now))
	drawWaves(w, r.Rollout, now)
	fmt.Fprintln(w)
	t := table{{"HOST", "WAVE", "STATE", "VERDICT", "SERIAL", "SINCE", "CHANGES", "NOTE"}}
	for _, h := range r.Hosts {
		t.add(h.Host.String(), terminal.Dash(h.Wave), string(h.State), terminal.Dash(h.Verdict), serialOf(h.Serial),
			terminal.Since(h.Since, now), changesOf(h), waitNote(h.Waits, now))
	}
	t.draw(w)
}

// drawPlan writes a rollout, and a line for each host that still goes.
func drawPlan(w io.Writer, r proto.RolloutPlanReply, now time.Time) {
	fmt.Fprintln(w, rolloutLine(r.Rollout, now))
	drawHolds(w, r.Holds, now)
	if len(r.Hosts) == 0 {
		return
	}
	fmt.Fprintln(w)
	t := table{{"HOST", "WAVE", "STATE", "CHANGES", "WAITS FOR"}}
	for _, h := range r.Hosts {
		note := waitNote(h.Waits, now)
		switch {
		case note != "":
		case h.State == proto.RolloutHostPublished:
			note = "its verdict"
		case h.State == proto.RolloutHostDeferred:
			note = "something of its own: kedge status " + h.Host.String()
		}
		t.add(h.Host.String(), terminal.Dash(h.Wave), string(h.State), changesOf(h), terminal.Dash(note))
	}
	t.draw(w)
}

// changesOf says in a line what a rollout brings a host.
func changesOf(h proto.RolloutHost) string {
	if h.Changes == nil {
		return "-"
	}
	return h.Changes.String()
}

func drawWaves(w io.Writer, r proto.RolloutView, now time.Time) {
	t := table{{"WAVE", "STATE", "HOSTS", "WAITING", "UNDER WAY", "DEFERRED", "OFFLINE", "SILENT", "SUCCEEDED", "FAILED", "SINCE"}}
	for _, v := range r.Waves {
		state, since := "waiting", time.Time{}
		switch {
		case !v.Ended.IsZero():
			state, since = "ended", v.Ended
		case !v.Started.IsZero():
			state, since = "started", v.Started
		}
		cells := []string{v.Name, state}
		for _, n := range []int{v.Hosts, v.Waiting, v.Published, v.Deferred, v.Offline, v.Silent, v.Succeeded, v.Failed} {
			cells = append(cells, strconv.Itoa(n))
		}
		t.add(append(cells, terminal.Since(since, now))...)
	}
	t.draw(w)
}

// rolloutLine says how a rollout stands, in one line.
func rolloutLine(r proto.RolloutView, now time.Time) string {
	n := total(r)
	line := fmt.Sprintf("%s: %s of revision %s: %s for %s", r.Channel, r.ID, r.Revision.Short(), r.State, terminal.Since(r.Since, now))
	if !r.State.Ended() {
		line += ", wave " + waveOf(r)
	}
	parts := []string{line, fmt.Sprintf("%d of %d hosts succeeded", n.Succeeded, n.Hosts)}
	for _, other := range []struct {
		count int
		what  string
	}{{n.Failed, "failed"}, {n.Silent, "silent"}, {n.Deferred, "deferred"}, {n.Offline, "offline"}, {r.Left, "left out"}} {
		if other.count > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", other.count, other.what))
		}
	}
	return terminal.Printable(because(strings.Join(parts, ", "), "", whyOf(r)))
}

// whyOf says why a rollout is as it is, and who wanted that.
func whyOf(r proto.RolloutView) string {
	switch {
	case r.By == "":
		return firstLine(r.Why)
	case r.Why == "":
		return "by " + r.By
	}
	return "by " + r.By + ": " + firstLine(r.Why)
}

// waveOf says in which wave a rollout is.
func waveOf(r proto.RolloutView) string {
	if r.Wave >= len(r.Waves) {
		return "-"
	}
	return fmt.Sprintf("%s (%d/%d)", r.Waves[r.Wave].Name, r.Wave+1, len(r.Waves))
}

// total counts the hosts of all waves together.
func total(r proto.RolloutView) (n proto.RolloutWave) {
	n.Hosts = r.Left
	for _, w := range r.Waves {
		n.Hosts += w.Hosts
		n.Deferred += w.Deferred
		n.Offline += w.Offline
		n.Silent += w.Silent
		n.Succeeded += w.Succeeded
		n.Failed += w.Failed
	}
	return n
}

func serialOf(s proto.Serial) string {
	if s == 0 {
		return "-"
	}
	return s.String()
}

// waitNote says what a host of a rollout waits for, which may be nothing.
func waitNote(v *proto.RolloutWait, now time.Time) string {
	if v == nil {
		return ""
	}
	note := v.Message
	if note == "" {
		note = string(v.For)
	}
	if left := v.Until.Sub(now); left > 0 {
		note += ", for " + terminal.Length(left)
	}
	return note
}
