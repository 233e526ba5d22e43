package inhibitors

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	tests := []struct {
		name         string
		current, new string // "" is no file
		want         string // in the output; "" means no objection
	}{
		{"has no objection to equal values", `{"dbus":"dbus"}`, `{"dbus":"dbus"}`, ""},
		{"names the change", `{"dbus":"dbus","k":"1"}`, `{"dbus":"broker","k":"1"}`, "\n\ndbus : dbus -> broker\n\n"},
		{"ignores what is new", `{}`, `{"dbus":"broker"}`, ""},
		{"ignores what is gone", `{"dbus":"dbus"}`, `{}`, ""},
		{"takes a missing file for an empty one", "", `{"dbus":"broker"}`, ""},
		{"takes what is no JSON for an empty one", "dbus", `{"dbus":"broker"}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range map[string]string{"current": tt.current, "new": tt.new} {
				if text == "" {
					continue
				}
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			var out bytes.Buffer
			err := Check(&out, filepath.Join(dir, "current"), filepath.Join(dir, "new"))
			if errors.Is(err, ErrChanged) != (tt.want != "") || !strings.Contains(out.String(), tt.want) {
				t.Errorf("Check = %v, output %q, want %q in it", err, out.String(), tt.want)
			}
		})
	}
}
