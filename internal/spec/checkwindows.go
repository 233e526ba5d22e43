package spec

import (
	"fmt"
	"slices"
	"time"

	"kedge/internal/window"
)

// checkWindows reports windows in which nothing can ever go.
func (r *reader) checkWindows(path string, ws Windows) {
	if len(ws.Deny) == 0 {
		return
	}
	free := freeMinutes(ws.Deny)
	opens := func(allow ...window.Window) bool {
		if slices.ContainsFunc(append(allow, ws.Deny...), window.Window.Dated) {
			return leaves(Windows{Allow: allow, Deny: ws.Deny})
		}
		return slices.ContainsFunc(free, window.Windows(allow).Open)
	}
	if len(ws.Allow) == 0 && !opens() {
		r.problem(path+".deny", "leaves no time in which anything could go; what shall stand still for a while has rollout.freeze")
	}
	for i, allow := range ws.Allow {
		path := fmt.Sprintf("%s.allow[%d]", path, i)
		switch {
		case slices.ContainsFunc(ws.Deny, func(deny window.Window) bool { return deny.String() == allow.String() }):
			r.problem(path, "%q is in deny, too", allow)
		case !opens(allow):
			r.problem(path, "%q never opens: deny has all of it", allow)
		}
	}
}

// freeMinutes returns the minutes of a week in winter and of one in summer, when
// zones are not as far apart, in which none of ws is open.
func freeMinutes(ws window.Windows) (free []time.Time) {
	const weekOfMinutes = 7 * 24 * 60
	for _, month := range []time.Month{time.January, time.July} {
		monday := time.Date(2026, month, 5, 0, 0, 0, 0, time.UTC)
		for minute := range weekOfMinutes {
			if t := monday.Add(time.Duration(minute) * time.Minute); !ws.Open(t) {
				free = append(free, t)
			}
		}
	}
	return free
}

// leaves reports whether ws are open at some time of the next years.
func leaves(ws Windows) bool {
	const years = 8 // from one 29 February to the next but one
	begin := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	for year := range years {
		if at := ws.Next(begin.AddDate(year, 0, 0)); !at.IsZero() {
			return true
		}
	}
	return false
}
