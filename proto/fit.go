package proto

import (
	"slices"
	"strings"
)

// fit encodes what shorten returns for a budget of text bytes: first without a
// limit, then for less and less, until it has at most limit bytes.
func fit(what string, limit int, shorten func(budget int) any) ([]byte, error) {
	b, err := encode(what, shorten(unlimited))
	for budget := limit / 2; err == nil && len(b) > limit && budget > 0; budget /= 2 {
		b, err = encode(what, shorten(budget))
	}
	if err == nil {
		err = checkSize(what, b, limit)
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// unlimited is more text than any message has.
const unlimited = 1 << 30

// shorten returns at most the first n bytes of s, marked as shortened.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// shortenUnits returns the first units whose names have at most half of budget
// bytes, each with the newest lines of its log that fit its share of the rest.
func shortenUnits(units []FailedUnit, budget int) []FailedUnit {
	names := 0
	for i, u := range units {
		if names += len(u.Name); names > budget/2 {
			units = units[:i]
			break
		}
	}
	if len(units) == 0 {
		return nil
	}
	short := make([]FailedUnit, 0, len(units))
	for _, u := range units {
		short = append(short, FailedUnit{Name: u.Name, Log: newest(u.Log, budget/2/len(units))})
	}
	return short
}

// shortenChecks returns the first results whose names have at most half of
// budget bytes, each with the beginning of its message that fits its share of
// the rest.
func shortenChecks(checks []CheckResult, budget int) []CheckResult {
	names := 0
	for i, c := range checks {
		if names += len(c.Name) + checkResultSize; names > budget/2 {
			checks = checks[:i]
			break
		}
	}
	short := slices.Clone(checks)
	for i, c := range short {
		short[i].Message = shorten(c.Message, budget/2/len(short))
	}
	return short
}

// checkResultSize is about what a result has in JSON beside its texts.
const checkResultSize = 120

// newest returns the last lines that have at most n bytes together, and of the
// very last one the beginning if it alone has more.
func newest(lines []string, n int) []string {
	room := n
	for i, line := range slices.Backward(lines) {
		if room -= len(line); room >= 0 {
			continue
		}
		if i == len(lines)-1 && n > 0 {
			return []string{shorten(line, n)}
		}
		return lines[i+1:]
	}
	return lines
}
