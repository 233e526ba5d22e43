package summary

import (
	"fmt"
	"strings"
	"time"

	"kedge/internal/terminal"
	"kedge/proto"
)

// Wait says what a host of a rollout waits for, which may be nothing.
func Wait(v *proto.RolloutWait, now time.Time) string {
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

// Rollout says how a rollout stands, in one line.
func Rollout(r proto.RolloutView, now time.Time) string {
	n := Total(r)
	line := fmt.Sprintf("%s: %s of revision %s: %s for %s", r.Channel, r.ID, r.Revision.Short(), r.State, terminal.Since(r.Since, now))
	if !r.State.Ended() {
		line += ", wave " + Wave(r)
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
	return terminal.Printable(Because(strings.Join(parts, ", "), "", Why(r)))
}

// Why says why a rollout is as it is, and who wanted that.
func Why(r proto.RolloutView) string {
	switch {
	case r.By == "":
		return FirstLine(r.Why)
	case r.Why == "":
		return "by " + r.By
	}
	return "by " + r.By + ": " + FirstLine(r.Why)
}

// Wave says in which wave a rollout is.
func Wave(r proto.RolloutView) string {
	if r.Wave >= len(r.Waves) {
		return "-"
	}
	return fmt.Sprintf("%s (%d/%d)", r.Waves[r.Wave].Name, r.Wave+1, len(r.Waves))
}

// Total counts the hosts of all waves together, and those that go with none.
func Total(r proto.RolloutView) proto.RolloutWave {
	n := r.Total()
	n.Hosts += r.Left
	return n
}
