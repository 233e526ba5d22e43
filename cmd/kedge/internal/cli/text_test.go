package cli

import (
	"fmt"
	"testing"
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
		if got := printable(in); got != want {
			t.Errorf("printable(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestMessageKeepsLinesAndNothingElse(t *testing.T) {
	err := fmt.Errorf("revision 0123456: %s", "build:\n\x1b[31merror:\x1b[0m no\r\nTry again\n")
	if got, want := Message(err), "revision 0123456: build:\n[31merror:[0m no\nTry again"; got != want {
		t.Errorf("Message = %q, want %q", got, want)
	}
}
