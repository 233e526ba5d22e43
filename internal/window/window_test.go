package window

import (
	"testing"
	"time"
)

func must(t *testing.T, text string) Window {
	t.Helper()
	w, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func utc(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02 15:04:05", text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// spans returns when w is open from one day to another, in UTC, minute by minute.
func spans(t *testing.T, w Window, from, to string) (all []string) {
	t.Helper()
	const layout = "Mon 15:04"
	var opened time.Time
	for at, end := utc(t, from+" 00:00:00"), utc(t, to+" 00:00:00"); !at.After(end); at = at.Add(time.Minute) {
		switch open := w.Open(at); {
		case open && opened.IsZero():
			opened = at
		case !open && !opened.IsZero():
			all = append(all, opened.Format(layout)+"-"+at.Format("15:04"))
			opened = time.Time{}
		}
	}
	return all
}

func TestOpen(t *testing.T) {
	const (
		berlin   = " Europe/Berlin"       // 2026: +1, forward on 03-29 at 01:00 UTC, back on 10-25 at 01:00 UTC
		newYork  = " America/New_York"    // 2026: -5, forward on 03-08 at 07:00 UTC, back on 11-01 at 06:00 UTC
		lordHowe = " Australia/Lord_Howe" // 2026: +11, back by 30 min on 04-04 at 15:00 UTC, forward on 10-03 at 15:30 UTC
		santiago = " America/Santiago"    // 2026: -3, back on 04-05 at 03:00 UTC, forward on 09-06 at 04:00 UTC, at midnight
	)
	tests := []struct {
		name, window, from, to string
		want                   []string
	}{
		{"every day", "02:00-04:00", "2026-06-01", "2026-06-03", []string{"Mon 02:00-04:00", "Tue 02:00-04:00"}},
		{"on its days", "Tue,Thu 02:00-04:00", "2026-06-01", "2026-06-06", []string{"Tue 02:00-04:00", "Thu 02:00-04:00"}},
		{"over midnight, on the day of its start", "Mon 22:00-01:30", "2026-06-01", "2026-06-08", []string{"Mon 22:00-01:30"}},
		{"over midnight, from Saturday on", "Sat 23:00-01:00", "2026-06-05", "2026-06-08", []string{"Sat 23:00-01:00"}},
		{"on its dates", "2,4 02:00-04:00", "2026-06-01", "2026-06-30", []string{"Tue 02:00-04:00", "Thu 02:00-04:00"}},
		{"on the day of the week and the date", "1-7 Tue 02:00-04:00", "2026-06-01", "2026-06-30", []string{"Tue 02:00-04:00"}},
		{"in its months", "May-Jun 31 22:00-02:00", "2026-05-01", "2026-07-30", []string{"Sun 22:00-02:00"}},
		{"over the end of a year", "Dec 31 22:00-02:00", "2026-12-01", "2027-01-30", []string{"Thu 22:00-02:00"}},
		{"to midnight", "Mon 22:00-24:00", "2026-06-01", "2026-06-08", []string{"Mon 22:00-00:00"}},
		{"to midnight, the other way", "Mon 22:00-00:00", "2026-06-01", "2026-06-08", []string{"Mon 22:00-00:00"}},
		{"whole days", "Sat-Sun 00:00-24:00", "2026-06-01", "2026-06-09", []string{"Sat 00:00-00:00"}},
		{"all but a minute", "Mon 12:01-12:00", "2026-06-01", "2026-06-08", []string{"Mon 12:01-12:00"}},

		{"a quarter of an hour off", "Mon 00:00-01:00 Asia/Kathmandu", "2026-05-31", "2026-06-02", []string{"Sun 18:15-19:15"}},
		{"in front of the date line", "Mon 00:00-01:00 Pacific/Kiritimati", "2026-05-30", "2026-06-03", []string{"Sun 10:00-11:00"}},
		{"behind the date line", "Mon 23:00-01:00 Pacific/Pago_Pago", "2026-05-30", "2026-06-04", []string{"Tue 10:00-12:00"}},

		{"Berlin in winter", "02:00-03:00" + berlin, "2026-03-28", "2026-03-29", []string{"Sat 01:00-02:00"}},
		{"Berlin in summer", "02:00-03:00" + berlin, "2026-03-30", "2026-03-31", []string{"Mon 00:00-01:00"}},
		{"does not exist on the day", "02:00-03:00" + berlin, "2026-03-29", "2026-03-30", nil},
		{"begins in the gap", "02:30-04:00" + berlin, "2026-03-29", "2026-03-30", []string{"Sun 01:00-02:00"}},
		{"ends in the gap", "01:30-02:30" + berlin, "2026-03-29", "2026-03-30", []string{"Sun 00:30-01:00"}},
		{"has the gap in it", "01:00-04:00" + berlin, "2026-03-29", "2026-03-30", []string{"Sun 00:00-02:00"}},
		{"over midnight with the gap in it", "Sat 23:00-05:00" + berlin, "2026-03-28", "2026-03-30", []string{"Sat 22:00-03:00"}},
		{"happens twice", "02:00-03:00" + berlin, "2026-10-25", "2026-10-26", []string{"Sun 00:00-02:00"}},
		{"happens twice in part", "02:30-02:45" + berlin, "2026-10-25", "2026-10-26", []string{"Sun 00:30-00:45", "Sun 01:30-01:45"}},
		{"begins in what happens twice", "02:30-04:00" + berlin, "2026-10-25", "2026-10-26", []string{"Sun 00:30-01:00", "Sun 01:30-03:00"}},
		{"has what happens twice in it", "Sun 01:00-04:00" + berlin, "2026-10-24", "2026-10-26", []string{"Sat 23:00-03:00"}},

		{"New York forward", "Sun 01:00-04:00" + newYork, "2026-03-08", "2026-03-09", []string{"Sun 06:00-08:00"}},
		{"New York back", "Sun 01:00-02:00" + newYork, "2026-11-01", "2026-11-02", []string{"Sun 05:00-07:00"}},
		{"Lord Howe back, by half an hour", "Sun 01:00-03:00" + lordHowe, "2026-04-04", "2026-04-05", []string{"Sat 14:00-16:30"}},
		{"Lord Howe forward, by half an hour", "Sun 02:00-03:00" + lordHowe, "2026-10-03", "2026-10-04", []string{"Sat 15:30-16:00"}},
		{"a day that begins at one", "Sun 00:00-02:00" + santiago, "2026-09-06", "2026-09-07", []string{"Sun 04:00-05:00"}},
		{"over a midnight that does not exist", "Sat 23:00-02:00" + santiago, "2026-09-05", "2026-09-07", []string{"Sun 03:00-05:00"}},
		{"an evening that happens twice", "Sat 23:00-24:00" + santiago, "2026-04-05", "2026-04-06", []string{"Sun 02:00-04:00"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := spans(t, must(t, tt.window), tt.from, tt.to)
			if len(got) != len(tt.want) {
				t.Fatalf("%s is open %q, want %q", tt.window, got, tt.want)
			}
			for i := range got {
				if got[i] != tt.want[i] {
					t.Errorf("%s is open %q, want %q", tt.window, got, tt.want)
				}
			}
		})
	}
}

func TestOpenToTheNanosecond(t *testing.T) {
	w := must(t, "02:00-04:00")
	for at, want := range map[time.Time]bool{
		utc(t, "2026-06-01 02:00:00").Add(-1): false,
		utc(t, "2026-06-01 02:00:00"):         true,
		utc(t, "2026-06-01 04:00:00").Add(-1): true,
		utc(t, "2026-06-01 04:00:00"):         false,
	} {
		if got := w.Open(at); got != want {
			t.Errorf("open at %s: got %t, want %t", at, got, want)
		}
	}
}

func TestNext(t *testing.T) {
	tests := []struct{ name, window, from, want string }{
		{"it is open", "02:00-04:00", "2026-06-01 03:59:59", "2026-06-01 03:59:59"},
		{"later today", "02:00-04:00", "2026-06-01 01:59:59", "2026-06-01 02:00:00"},
		{"tomorrow", "02:00-04:00", "2026-06-01 04:00:00", "2026-06-02 02:00:00"},
		{"in a week", "Mon 02:00-04:00", "2026-06-01 04:00:00", "2026-06-08 02:00:00"},
		{"next month", "Mon 02:00-04:00", "2026-06-30 04:00:00", "2026-07-06 02:00:00"},
		{"after midnight", "Mon 22:00-02:00", "2026-06-02 01:00:00", "2026-06-02 01:00:00"},
		{"the day after, since the night does not exist", "02:00-03:00 Europe/Berlin", "2026-03-28 12:00:00", "2026-03-30 00:00:00"},
		{"the week after, since the night does not exist", "Sun 02:00-03:00 Europe/Berlin", "2026-03-28 12:00:00", "2026-04-05 00:00:00"},
		{"when the gap is over", "02:30-04:00 Europe/Berlin", "2026-03-28 12:00:00", "2026-03-29 01:00:00"},
		{"the second time", "02:30-02:45 Europe/Berlin", "2026-10-25 00:45:00", "2026-10-25 01:30:00"},
		{"when clocks go back into it", "02:30-04:00 Europe/Berlin", "2026-10-25 01:00:00", "2026-10-25 01:30:00"},
		{"when the day begins at one", "Sun 00:00-02:00 America/Santiago", "2026-09-05 12:00:00", "2026-09-06 04:00:00"},
		{"the first Saturday of a month", "1-7 Sat 02:00-04:00", "2026-06-06 04:00:00", "2026-07-04 02:00:00"},
		{"in another year", "Jan 1 00:00-24:00 Europe/Berlin", "2026-01-02 00:00:00", "2026-12-31 23:00:00"},
		{"from the end of a leap year on", "Jan 2 Tue 01:00-02:00 Europe/Berlin", "2052-10-27 12:00:00", "2057-01-02 00:00:00"},
		{"in a leap year", "Feb 29 12:00-13:00", "2026-01-01 00:00:00", "2028-02-29 12:00:00"},
		{"in forty years", "Feb 29 Mon 12:00-13:00 Europe/Berlin", "2072-03-01 00:00:00", "2112-02-29 11:00:00"},
		{"half an hour of it", "Sun 02:00-03:00 Australia/Lord_Howe", "2026-10-03 00:00:00", "2026-10-03 15:30:00"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, want := must(t, tt.window).Next(utc(t, tt.from)), utc(t, tt.want); !got.Equal(want) || got.Location() != time.UTC {
				t.Errorf("%s, from %s: got %s, want %s", tt.window, tt.from, got, want)
			}
		})
	}
}

func TestWindows(t *testing.T) {
	at := utc(t, "2026-06-01 12:00:00") // a Monday
	if ws := Windows(nil); !ws.Open(at) || !ws.Next(at).Equal(at) {
		t.Error("none at all are not always open")
	}
	never := Windows{Window{}}
	if never.Open(at) || !never.Next(at).IsZero() {
		t.Error("the zero window is open at some time")
	}
	spring := must(t, "Mar 25-31 Sun 02:00-04:00 Europe/Berlin")
	spring.end = 3 * 60
	if got := spring.Next(at); !got.IsZero() {
		t.Errorf("%s, of which clocks skip all, is open at %s", spring, got)
	}
	ws := Windows{Window{}, must(t, "Wed 02:00-04:00"), must(t, "Tue 22:00-23:00"), must(t, "Mon 08:00-09:00"), Window{}}
	for from, want := range map[string]string{
		"2026-06-01 08:30:00": "2026-06-01 08:30:00",
		"2026-06-01 12:00:00": "2026-06-02 22:00:00",
		"2026-06-02 23:00:00": "2026-06-03 02:00:00",
		"2026-06-03 04:00:00": "2026-06-08 08:00:00",
	} {
		if got := ws.Next(utc(t, from)); !got.Equal(utc(t, want)) || !ws.Open(got) {
			t.Errorf("from %s: got %s, want %s", from, got, want)
		}
		if got := ws.Open(utc(t, from)); got != (from == want) {
			t.Errorf("open at %s: got %t", from, got)
		}
	}
}

// FuzzNext compares Next with a search, by quarters of an hour: that is all that
// clocks are changed by, and offsets differ by, in these zones and years.
func FuzzNext(f *testing.F) {
	const quarter = 15 // minutes
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Santiago", "Pacific/Apia", "Africa/Casablanca"}
	f.Add(int64(1774700000), uint8(1), uint8(8), uint8(12), uint8(1), uint8(0)) // Sundays in Berlin, the night before clocks go forward
	f.Add(int64(1792800000), uint8(127), uint8(10), uint8(11), uint8(1), uint8(0))
	f.Add(int64(1325160000), uint8(1<<5), uint8(88), uint8(8), uint8(6), uint8(0)) // Apia had no Friday then
	f.Add(int64(1780000000), uint8(2), uint8(88), uint8(4), uint8(3), uint8(0))
	f.Add(int64(1774700000), uint8(127), uint8(88), uint8(8), uint8(1), uint8(7))  // over midnight, on some dates
	f.Add(int64(1792800107), uint8(1), uint8(10), uint8(96), uint8(73), uint8(80)) // over the end of a leap year after 2037
	f.Fuzz(func(t *testing.T, at int64, on, start, end, zone, dates uint8) {
		location, err := time.LoadLocation(zones[int(zone)%len(zones)])
		if err != nil {
			t.Fatal(err)
		}
		w := Window{days: set(on) & everyDay, dates: everyDate, months: everyMonth, start: int(start) * quarter % dayMinutes, end: int(end) * quarter % (dayMinutes + quarter), zone: location}
		if dates > 0 { // else every one
			w.dates = set(dates) << (1 + dates%24)
		}
		// From 2000 to 2100.
		const first, length = 946684800, 100 * 365 * 86400
		from := time.Unix(first+(at%length+length)%length, 0).UTC()
		if w.days == 0 || w.dates == 0 || w.start == w.end {
			return
		}
		if again, err := Parse(w.String()); err != nil || again.String() != w.String() {
			t.Fatalf("%q is read as %q, %v", w, again, err)
		}
		got := w.Next(from)
		if !w.Open(got) {
			t.Fatalf("%s, from %s: not open at %s", w, from, got)
		}
		want := from
		for !w.Open(want) {
			want = want.Truncate(quarter * time.Minute).Add(quarter * time.Minute)
		}
		if !got.Equal(want) {
			t.Errorf("%s, from %s: got %s, want %s", w, from, got, want)
		}
		closes := w.Closes(got)
		for at := got; at.Before(closes); at = at.Add(quarter * time.Minute) {
			if !w.Open(at) {
				t.Errorf("%s, from %s: closed at %s, want it open until %s", w, got, at, closes)
			}
		}
		if !closes.After(got) {
			t.Errorf("%s closes at %s, before %s", w, closes, got)
		}
	})
}
