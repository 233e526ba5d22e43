// Package window tells when something may be done: in windows of a week, such as
// "Sat,Sun 02:00-04:00 Europe/Berlin", or of some dates and months only.
//
// A window is open while a clock on the wall in its time zone shows a time in
// it. That is all there is to say about daylight saving time, too:
//
//   - Where clocks go forward, the times that they skip do not happen. A window
//     is as much shorter as it has of them, and one that has no other times is
//     left out.
//   - Where clocks go back, some times happen twice, and a window is open both
//     times.
//
// It performs no I/O but for loading time zones, and reads no clock.
package window

import (
	"slices"
	"time"
	_ "time/tzdata" // for hosts without a data base of time zones
)

// A Window is a span of time on some days, in a time zone. The zero value is never open;
// construct with [Parse].
type Window struct {
	days       set // of the week
	dates      set // of the month
	months     set
	start, end int // minutes from midnight; end comes after midnight if it is not after start
	zone       *time.Location
}

// Open reports whether w is open at t. The end of a window is outside of it.
func (w Window) Open(t time.Time) bool {
	if w.days == 0 {
		return false
	}
	t = t.In(w.zone)
	now := t.Hour()*60 + t.Minute()
	if w.start < w.end {
		return w.start <= now && now < w.end && w.startsOn(t)
	}
	if w.start <= now {
		return w.startsOn(t)
	}
	return now < w.end && w.startedBefore(t)
}

// startsOn reports whether w starts on the day of t, which is in some zone.
func (w Window) startsOn(t time.Time) bool {
	return w.days.has(int(t.Weekday())) && w.dates.has(t.Day()) && w.months.has(int(t.Month()))
}

// startedBefore is startsOn for the day before, whether it happened or not.
func (w Window) startedBefore(t time.Time) bool {
	return w.startsOn(time.Date(t.Year(), t.Month(), t.Day()-1, 0, 0, 0, 0, time.UTC))
}

// Closes returns an instant after t up to which w, which is open at t, stays so: where it
// ends, or where clocks are changed.
func (w Window) Closes(t time.Time) time.Time {
	local := t.In(w.zone)
	name, offset := local.Zone()
	day := local.Day()
	if w.start >= w.end && local.Hour()*60+local.Minute() >= w.start {
		day++
	}
	end := time.Date(local.Year(), local.Month(), day, 0, w.end, 0, 0, time.FixedZone(name, offset))
	if change := changes(local); !change.IsZero() && change.Before(end) {
		end = change
	}
	return end.In(t.Location())
}

// years is how far ahead [Window.Next] looks: 40 lie between some of the 29 February
// that are the same day of the week.
const years = 41

// Next returns the first instant from t on at which w is open: t itself if it is
// open, and the zero time if it is never, such as one that has only times that clocks skip.
func (w Window) Next(t time.Time) time.Time {
	if w.days == 0 {
		return time.Time{}
	}
	for end := t.AddDate(years, 0, 0); t.Before(end); {
		if w.Open(t) {
			return t
		}
		until := end
		if change := changes(t.In(w.zone)); !change.IsZero() && change.Before(end) {
			until = change // from where on the clock shows something else
		}
		t = w.nextStart(t, until).In(t.Location())
	}
	return time.Time{}
}

// changes returns when the clock of t's zone is changed next, or has to be looked at once
// more; the zero time for never. On the last day of a leap year after 2037 Go takes the
// year to be over, and knows no change.
func changes(t time.Time) time.Time {
	_, end := t.ZoneBounds()
	if !end.IsZero() && !end.After(t) {
		return t.AddDate(0, 0, 1)
	}
	return end
}

// Dated reports whether w is left out of some weeks.
func (w Window) Dated() bool { return w.dates != everyDate || w.months != everyMonth }

// nextStart returns when w starts after t if clocks are left alone, but not later than
// until.
func (w Window) nextStart(t, until time.Time) time.Time {
	t = t.In(w.zone)
	name, offset := t.Zone()
	t = t.In(time.FixedZone(name, offset))
	for day := 0; ; day++ {
		start := time.Date(t.Year(), t.Month(), t.Day()+day, 0, w.start, 0, 0, t.Location())
		switch {
		case !start.Before(until):
			return until
		case w.startsOn(start) && start.After(t):
			return start
		}
	}
}

// Windows are open while one of them is. None at all are always open.
type Windows []Window

// Open reports whether one of ws is open at t, or there are none.
func (ws Windows) Open(t time.Time) bool {
	return len(ws) == 0 || slices.ContainsFunc(ws, func(w Window) bool { return w.Open(t) })
}

// Next returns the first instant from t on at which ws are open: t itself if they
// are, and the zero time if they are never.
func (ws Windows) Next(t time.Time) (first time.Time) {
	if ws.Open(t) {
		return t
	}
	for _, w := range ws {
		if next := w.Next(t); first.IsZero() || !next.IsZero() && next.Before(first) {
			first = next
		}
	}
	return first
}
