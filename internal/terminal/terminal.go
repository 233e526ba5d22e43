// Package terminal writes for people what kedge and kedge-agent both show them.
package terminal

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
)

// Printable makes text of others fit for a line of a terminal: nothing in it can
// draw over what is true, or turn its order round.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
			return -1
		}
		return r
	}, s)
}

// Length writes d as coarse as a table likes it; no time for one below zero.
func Length(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// Since writes how long ago t was, a dash for never.
func Since(t, now time.Time) string {
	if t.IsZero() {
		return Dash("")
	}
	return Length(now.Sub(t))
}

// Dash returns s, or a dash for nothing.
func Dash[T ~string](s T) string {
	if s == "" {
		return "-"
	}
	return string(s)
}

// WriteJSON writes v, indented.
func WriteJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}
