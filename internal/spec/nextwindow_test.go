package spec_test

import (
	"testing"
	"time"

	"kedge/internal/spec"
	"kedge/internal/window"
)

func TestWindowsNext(t *testing.T) {
	windows := func(texts ...string) (ws window.Windows) {
		for _, text := range texts {
			w, err := window.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			ws = append(ws, w)
		}
		return ws
	}
	monday := time.Date(2026, 3, 2, 12, 0, 30, 0, time.UTC)
	for name, c := range map[string]struct {
		windows spec.Windows
		want    time.Time
	}{
		"always open":          {spec.Windows{}, monday},
		"open":                 {spec.Windows{Allow: windows("12:00-13:00")}, monday},
		"closed":               {spec.Windows{Allow: windows("11:00-12:00")}, time.Date(2026, 3, 3, 11, 0, 0, 0, time.UTC)},
		"denied":               {spec.Windows{Deny: windows("11:00-12:01")}, time.Date(2026, 3, 2, 12, 1, 0, 0, time.UTC)},
		"open, and denied":     {spec.Windows{Allow: windows("12:00-13:00"), Deny: windows("Mon 12:00-14:00", "Tue 00:00-12:30")}, time.Date(2026, 3, 3, 12, 30, 0, 0, time.UTC)},
		"denied all the time":  {spec.Windows{Deny: windows("00:00-24:00")}, time.Time{}},
		"denied for months":    {spec.Windows{Deny: windows("Mar-Jun 00:00-24:00")}, time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)},
		"denied until then":    {spec.Windows{Allow: windows("1-7 Sat 02:00-04:00"), Deny: windows("Mar 00:00-24:00")}, time.Date(2026, 4, 4, 2, 0, 0, 0, time.UTC)},
		"denied when it opens": {spec.Windows{Allow: windows("Tue 09:00-12:00"), Deny: windows("09:00-10:00")}, time.Date(2026, 3, 3, 10, 0, 0, 0, time.UTC)},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.windows.Next(monday); !got.Equal(c.want) {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
