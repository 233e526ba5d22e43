package terminal

import (
	"testing"
	"time"
)

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"app.service failed":            "app.service failed",
		"größer: 10 °C":                 "größer: 10 °C",
		"two\nlines\tand a tab":         "two lines and a tab",
		"\x1b[2Jall is well":            "[2Jall is well",
		"\u009b2Jall is well":           "2Jall is well",
		"\x9b2J":                        "\uFFFD2J",
		"bell\a, back\b, return\r":      "bell, back, return",
		"web1 \u202edeliaf\u202c ended": "web1 deliaf ended",
	} {
		if got := Printable(in); got != want {
			t.Errorf("Printable(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestLength(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0s": -time.Hour, "119s": 2*time.Minute - 1, "2m": 2 * time.Minute, "119m": 2*time.Hour - 1,
		"2h": 2 * time.Hour, "47h": 48*time.Hour - 1, "2d": 48 * time.Hour,
	} {
		if got := Length(d); got != want {
			t.Errorf("Length(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestSince(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if got := Since(time.Time{}, now); got != "-" {
		t.Errorf("never is %q, want a dash", got)
	}
	if got := Since(now.Add(-time.Minute), now); got != "60s" {
		t.Errorf("a minute ago is %q, want 60s", got)
	}
}
