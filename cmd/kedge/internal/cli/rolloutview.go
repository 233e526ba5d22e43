package cli

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"kedge/internal/summary"
	"kedge/internal/terminal"
	"kedge/proto"
)

// drawRollouts writes a line for each rollout.
func drawRollouts(w io.Writer, rollouts []proto.RolloutView, now time.Time) {
	t := table{{"CHANNEL", "ROLLOUT", "REVISION", "STATE", "WAVE", "SUCCEEDED", "FAILED", "AGE", "NOTE"}}
	for _, r := range rollouts {
		n := summary.Total(r)
		t.add(r.Channel, r.ID, r.Revision.Short(), string(r.State), summary.Wave(r),
			fmt.Sprintf("%d/%d", n.Succeeded, n.Hosts), strconv.Itoa(n.Failed), terminal.Since(r.Created, now), summary.Why(r))
	}
	t.draw(w)
}

// drawUnderWay writes a line for each rollout that has not come to a good end, and a
// blank one after them.
func drawUnderWay(w io.Writer, rollouts []proto.RolloutView, now time.Time) {
	drawn := false
	for _, r := range rollouts {
		if r.State != proto.RolloutDone {
			fmt.Fprintln(w, summary.Rollout(r, now))
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
	fmt.Fprintf(w, "%s\n\n", summary.Rollout(r.Rollout, now))
	drawWaves(w, r.Rollout, now)
	fmt.Fprintln(w)
	t := table{{"HOST", "WAVE", "STATE", "VERDICT", "SERIAL", "SINCE", "CHANGES", "NOTE"}}
	for _, h := range r.Hosts {
		t.add(h.Host.String(), terminal.Dash(h.Wave), string(h.State), terminal.Dash(h.Verdict), serialOf(h.Serial),
			terminal.Since(h.Since, now), changesOf(h), summary.Wait(h.Waits, now))
	}
	t.draw(w)
}

// drawPlan writes a rollout, and a line for each host that still goes.
func drawPlan(w io.Writer, r proto.RolloutPlanReply, now time.Time) {
	fmt.Fprintln(w, summary.Rollout(r.Rollout, now))
	drawHolds(w, r.Holds, now)
	if len(r.Hosts) == 0 {
		return
	}
	fmt.Fprintln(w)
	t := table{{"HOST", "WAVE", "STATE", "CHANGES", "WAITS FOR"}}
	for _, h := range r.Hosts {
		note := summary.Wait(h.Waits, now)
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

func serialOf(s proto.Serial) string {
	if s == 0 {
		return "-"
	}
	return s.String()
}
