package spec

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// An Amount is a number of hosts, or a percentage of some hosts. The zero value
// is an amount that was not given, which is not the same as a number of 0.
type Amount struct {
	n    int
	unit unit
}

type unit uint8

const (
	hosts unit = iota + 1
	percent
)

// Count returns the amount of n hosts.
func Count(n int) Amount { return Amount{n, hosts} }

// Percent returns the amount of n percent.
func Percent(n int) Amount { return Amount{n, percent} }

// maxCount is more hosts than any fleet has.
const maxCount = 1_000_000

var errAmount = errors.New(`must be a number of hosts such as 3, or a percentage such as "10%"`)

// ParseAmount parses "3" or "10%".
func ParseAmount(text string) (Amount, error) {
	digits, isPercent := strings.CutSuffix(text, "%")
	n, err := strconv.Atoi(digits)
	switch {
	case err != nil || strings.HasPrefix(digits, "+"):
		return Amount{}, fmt.Errorf("%w, got %q", errAmount, text)
	case n < 0:
		return Amount{}, fmt.Errorf("must not be negative, got %q", text)
	case isPercent && n > 100:
		return Amount{}, fmt.Errorf("must not be more than 100%%, got %q", text)
	case n > maxCount:
		return Amount{}, fmt.Errorf("must not be more than %d, got %q", maxCount, text)
	case isPercent:
		return Percent(n), nil
	}
	return Count(n), nil
}

// IsZero reports whether a was not given.
func (a Amount) IsZero() bool { return a.unit == 0 }

// Of returns how many a is of n hosts, rounded down; 0 if a was not given. A
// number of hosts may be more than n.
func (a Amount) Of(n int) int {
	if a.unit == percent {
		return a.n * n / 100
	}
	return a.n
}

// CeilOf is [Amount.Of], rounded up.
func (a Amount) CeilOf(n int) int {
	if a.unit == percent {
		return (a.n*n + 99) / 100
	}
	return a.n
}

// String returns a as [ParseAmount] takes it; empty if it was not given.
func (a Amount) String() string {
	switch a.unit {
	case hosts:
		return strconv.Itoa(a.n)
	case percent:
		return strconv.Itoa(a.n) + "%"
	}
	return ""
}

// MarshalText implements encoding.TextMarshaler.
func (a Amount) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText parses b; see [ParseAmount].
func (a *Amount) UnmarshalText(b []byte) (err error) {
	*a, err = ParseAmount(string(b))
	return err
}

// parseAmount parses a number or a text.
func parseAmount(raw json.RawMessage) (Amount, error) {
	var text string
	if kindOf(raw) == kindNumber {
		text = string(raw)
	} else if err := json.Unmarshal(raw, &text); err != nil {
		return Amount{}, fmt.Errorf("%w, got %s", errAmount, describe(raw))
	}
	return ParseAmount(text)
}
