package spec

import "time"

// searched is how far ahead [Windows.Next] looks: windows are those of a week, and
// where clocks go forward one may be left out.
const searched = 5 * 7 * 24 * time.Hour

// Next returns the first instant from t on at which w is open: t itself if it is
// open, and the zero time if it is never.
func (w Windows) Next(t time.Time) time.Time {
	for end := t.Add(searched); t.Before(end); {
		t = w.Allow.Next(t)
		if t.IsZero() || w.Open(t) {
			return t
		}
		t = t.Truncate(time.Minute).Add(time.Minute) // windows begin and end with minutes
	}
	return time.Time{}
}
