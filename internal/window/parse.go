package window

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// dayMinutes is the end of a day.
const dayMinutes = 24 * 60

// Parse returns the window that text describes: the months, the dates and the days of the
// week on which it starts, all of which have to be right, and each of which may be left
// out; when it starts and ends, after midnight if the end is not after the start; and the
// time zone, UTC if it is left out.
//
//	Sat,Sun 02:00-04:00 Europe/Berlin
//	1-7 Sat 02:00-04:00
//	Dec 24-31 00:00-24:00
//	Mon-Fri 22:00-06:00 America/New_York
//	00:00-24:00
func Parse(text string) (Window, error) {
	w, err := parse(strings.Fields(text))
	if err != nil {
		return Window{}, fmt.Errorf("%q is no window such as \"Sat,Sun 02:00-04:00 Europe/Berlin\": %w", text, err)
	}
	return w, nil
}

func parse(words []string) (w Window, err error) {
	w = Window{days: everyDay, dates: everyDate, months: everyMonth, zone: time.UTC}
	if words, err = w.parseDays(words); err != nil {
		return Window{}, err
	}
	if len(words) == 0 {
		return Window{}, errors.New("it has no start and end")
	}
	if w.start, w.end, err = parseSpan(words[0]); err != nil {
		return Window{}, err
	}
	switch words = words[1:]; len(words) {
	case 0:
	case 1:
		if w.zone, err = parseZone(words[0]); err != nil {
			return Window{}, err
		}
	default:
		return Window{}, fmt.Errorf("nothing may follow the time zone, got %q", strings.Join(words[1:], " "))
	}
	if someDay := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC); w.Next(someDay).IsZero() {
		return Window{}, errors.New("it never opens: clocks skip these times on these days")
	}
	return w, nil
}

// parseDays parses on which days w starts, and returns the words after that.
func (w *Window) parseDays(words []string) ([]string, error) {
	for _, part := range []struct {
		set         *set
		first, last int
		is          func(word string) bool
		one         func(string) (int, error)
	}{
		{&w.months, 1, lastMonth, isMonths, parseMonth},
		{&w.dates, 1, lastDate, isDates, parseDate},
		{&w.days, 0, 6, func(string) bool { return true }, parseDay},
	} {
		if len(words) == 0 || strings.Contains(words[0], ":") {
			break
		}
		if !part.is(words[0]) {
			continue
		}
		var err error
		if *part.set, err = parseSet(words[0], part.first, part.last, part.one); err != nil {
			return nil, err
		}
		words = words[1:]
	}
	if !happen(w.months, w.dates) {
		return nil, errors.New("no month of these has such a date")
	}
	return words, nil
}

func isDates(word string) bool { return word[0] >= '0' && word[0] <= '9' }

func isMonths(word string) bool {
	name, _, _ := strings.Cut(strings.ReplaceAll(word, "-", ","), ",")
	_, err := parseMonth(name)
	return err == nil
}

func parseSpan(text string) (start, end int, err error) {
	from, to, ok := strings.Cut(text, "-")
	if !ok {
		return 0, 0, fmt.Errorf("start and end must be written as 02:00-04:00, got %q", text)
	}
	if start, err = parseClock(from); err != nil {
		return 0, 0, err
	}
	if end, err = parseClock(to); err != nil {
		return 0, 0, err
	}
	if start == end || start == dayMinutes {
		return 0, 0, fmt.Errorf("%s has no length; a whole day is 00:00-24:00", text)
	}
	return start, end, nil
}

// parseClock returns the minutes from midnight.
func parseClock(text string) (int, error) {
	hours, minutes, ok := strings.Cut(text, ":")
	h, herr := strconv.ParseUint(hours, 10, 8)
	m, merr := strconv.ParseUint(minutes, 10, 8)
	clock := int(h*60 + m)
	if !ok || herr != nil || merr != nil || len(hours) != 2 || len(minutes) != 2 || m > 59 || clock > dayMinutes {
		return 0, fmt.Errorf("a time must be 00:00 to 24:00, got %q", text)
	}
	return clock, nil
}

func parseZone(name string) (*time.Location, error) {
	if name == "Local" {
		return nil, errors.New("the time zone must be named, such as Europe/Berlin, got \"Local\"")
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("there is no time zone %q", name)
	}
	return zone, nil
}

// String returns w as [Parse] takes it; empty for the zero value.
func (w Window) String() string {
	if w.days == 0 {
		return ""
	}
	text := fmt.Sprintf("%02d:%02d-%02d:%02d %s", w.start/60, w.start%60, w.end/60, w.end%60, w.zone)
	if w.days != everyDay {
		text = dayText(w.days) + " " + text
	}
	if w.dates != everyDate {
		text = w.dates.texts(1, lastDate, strconv.Itoa) + " " + text
	}
	if w.months != everyMonth {
		text = w.months.texts(1, lastMonth, monthName) + " " + text
	}
	return text
}

// MarshalText implements encoding.TextMarshaler.
func (w Window) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// UnmarshalText parses b; see [Parse].
func (w *Window) UnmarshalText(b []byte) error {
	parsed, err := Parse(string(b))
	if err != nil {
		return err
	}
	*w = parsed
	return nil
}
