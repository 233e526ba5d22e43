package window

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A set has numbers below 32, one bit for each: days of a week from Sunday on, which is
// 0, dates of a month, and months of a year.
type set uint32

const (
	everyDay   set = 1<<7 - 1
	everyDate  set = 1<<32 - 1<<1
	everyMonth set = 1<<13 - 1<<1

	lastDate, lastMonth = 31, 12
)

func (s set) has(n int) bool { return s&(1<<n) != 0 }

// texts returns what of s is between two numbers, and after them from the first on.
func (s set) texts(first, last int, name func(int) string) string {
	var names []string
	for n := first; n <= last; n++ {
		if s.has(n) {
			names = append(names, name(n))
		}
	}
	return strings.Join(names, ",")
}

// dayText returns days as parseSet takes them, from Monday on.
func dayText(days set) string {
	const sunday = 7 // as the last
	return (days | days&1<<sunday).texts(1, sunday, func(n int) string { return dayName(n % sunday) })
}

func dayName(day int) string     { return time.Weekday(day).String()[:3] }
func monthName(month int) string { return time.Month(month).String()[:3] }

// parseSet returns the set that a list such as "Mon-Thu,Sat" means, of numbers from first
// to last, after which first comes again. one parses a member.
func parseSet(text string, first, last int, one func(string) (int, error)) (s set, err error) {
	for part := range strings.SplitSeq(text, ",") {
		from, to, isRange := strings.Cut(part, "-")
		n, err := one(from)
		if err != nil {
			return 0, err
		}
		end := n
		if isRange {
			if end, err = one(to); err != nil {
				return 0, err
			}
		}
		for s |= 1 << end; n != end; {
			s |= 1 << n
			if n++; n > last {
				n = first
			}
		}
	}
	return s, nil
}

func parseDay(name string) (int, error) {
	for day := range 7 {
		if strings.EqualFold(name, dayName(day)) {
			return day, nil
		}
	}
	return 0, fmt.Errorf("a day must be one of Mon, Tue, Wed, Thu, Fri, Sat, Sun, or two of them as in Mon-Fri, got %q", name)
}

func parseMonth(name string) (int, error) {
	for month := 1; month <= lastMonth; month++ {
		if strings.EqualFold(name, monthName(month)) {
			return month, nil
		}
	}
	return 0, fmt.Errorf("a month must be one of Jan, Feb, Mar and so on, or two of them as in Nov-Jan, got %q", name)
}

func parseDate(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil || n < 1 || n > lastDate {
		return 0, fmt.Errorf("a date must be 1 to %d, or two of them as in 1-7, got %q", lastDate, text)
	}
	return int(n), nil //nolint:gosec // small
}

// happen reports whether one of dates is in one of months, in some year.
func happen(months, dates set) bool {
	const leapYear = 2000
	for month := 1; month <= lastMonth; month++ {
		length := time.Date(leapYear, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
		if months.has(month) && dates&(1<<(length+1)-1) != 0 {
			return true
		}
	}
	return false
}
