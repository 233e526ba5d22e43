package window

import (
	"fmt"
	"strings"
	"time"
)

// days are some of a week's, one bit for each time.Weekday.
type days uint8

const everyDay days = 1<<7 - 1

func (d days) has(day time.Weekday) bool { return d&(1<<day) != 0 }

// String returns the days as parseDays takes them, from Monday on.
func (d days) String() string {
	var names []string
	for i := range time.Weekday(7) {
		if day := (i + time.Monday) % 7; d.has(day) {
			names = append(names, dayName(day))
		}
	}
	return strings.Join(names, ",")
}

func dayName(day time.Weekday) string { return day.String()[:3] }

// parseDays returns the days of a list such as "Mon-Thu,Sat".
func parseDays(text string) (d days, err error) {
	for part := range strings.SplitSeq(text, ",") {
		from, to, isRange := strings.Cut(part, "-")
		first, err := parseDay(from)
		if err != nil {
			return 0, err
		}
		last := first
		if isRange {
			if last, err = parseDay(to); err != nil {
				return 0, err
			}
		}
		d |= 1 << last
		for day := first; day != last; day = (day + 1) % 7 {
			d |= 1 << day
		}
	}
	return d, nil
}

func parseDay(name string) (time.Weekday, error) {
	for day := range time.Weekday(7) {
		if strings.EqualFold(name, dayName(day)) {
			return day, nil
		}
	}
	return 0, fmt.Errorf("a day must be one of Mon, Tue, Wed, Thu, Fri, Sat, Sun, or two of them as in Mon-Fri, got %q", name)
}
