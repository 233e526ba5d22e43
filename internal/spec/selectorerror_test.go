package spec

import (
	"strings"
	"testing"
)

func TestParseSelectorSaysWhere(t *testing.T) {
	for text, want := range map[string]string{
		"":                        `"" is no selector: at 1: must go on with hosts`,
		"tag:web and":             `at 12: must go on with hosts`,
		"tag:web tag:eu":          `at 9: must be "and" or "or", got "tag:eu"`,
		"(tag:web or":             `at 12: must go on with hosts`,
		"(tag:web":                `at 9: must go on with ")", "and" or "or"`,
		"(tag:web tag:eu)":        `at 10: must be ")", "and" or "or", got "tag:eu"`,
		"tag:web)":                `at 8: must be "and" or "or", got ")"`,
		"web1 and or web2":        `at 10: must be a tag such as tag:web, a name such as web1 or web*, "all", "not" or "(", got "or"`,
		"tag:":                    `at 1: must be a tag`,
		"tag:EU":                  `at 1: must be a tag`,
		"web[12]":                 `at 1: must be a tag`,
		"()":                      `at 2: must be a tag`,
		"not":                     `at 4: must go on with hosts`,
		strings.Repeat("(", 1001): `must not be longer than 1000 characters, got 1001`,
	} {
		sel, err := ParseSelector(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %q, error %v; want an error with %q", text, sel, err, want)
		}
	}
}

func TestAmountOf(t *testing.T) {
	for _, c := range []struct {
		amount       Amount
		of, down, up int
	}{
		{Amount{}, 10, 0, 0},
		{Count(3), 10, 3, 3},
		{Count(3), 2, 3, 3},
		{Percent(20), 7, 1, 2},
		{Percent(90), 7, 6, 7},
		{Percent(10), 10, 1, 1},
		{Percent(100), 7, 7, 7},
		{Percent(0), 7, 0, 0},
	} {
		if down, up := c.amount.Of(c.of), c.amount.CeilOf(c.of); down != c.down || up != c.up {
			t.Errorf("%q of %d: got %d and %d, want %d and %d", c.amount, c.of, down, up, c.down, c.up)
		}
	}
	if !(Amount{}).IsZero() || Count(0).IsZero() || Percent(0).IsZero() {
		t.Error("an amount of 0 must not be one that was not given")
	}
}
