package spec

import "time"

// searched is how far ahead [Windows.Next] looks: a deny that has some months in it may
// leave the others.
const searched = 366 * 24 * time.Hour

// Next returns the first instant from t on at which w is open: t itself if it is
// open, and the zero time if it is never, or not before a year is over.
func (w Windows) Next(t time.Time) time.Time {
	for end := t.Add(searched); t.Before(end); {
		t = w.Allow.Next(t)
		if t.IsZero() || w.Open(t) {
			return t
		}
		for _, deny := range w.Deny {
			if deny.Open(t) {
				t = deny.Closes(t)
			}
		}
	}
	return time.Time{}
}
