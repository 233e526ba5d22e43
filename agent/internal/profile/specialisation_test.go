package profile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

const special = "/nix/store/33333333333333333333333333333333-nixos-system-special"

// specialised is a host with system b registered, which has the specialisation
// docked, and on which current runs.
func specialised(t *testing.T, current string) System {
	t.Helper()
	s, _ := newSystem(t, map[string]string{
		"run/current-system":       current,
		profiles + "system-1-link": pathB,
		profiles + "system":        "system-1-link",
	})
	dir := filepath.Join(s.Root, pathB, "specialisation")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"docked": special, "torn": "elsewhere"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestSpecialisation(t *testing.T) {
	s := specialised(t, pathB)
	if got, err := s.Specialisation(parse(t, pathB), "docked"); err != nil || got != parse(t, special) {
		t.Errorf("docked is %s, %v", got, err)
	}
	if got, err := s.Specialisation(parse(t, pathB), "undocked"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not there is %s, %v", got, err)
	}
	if got, err := s.Specialisation(parse(t, pathB), "torn"); err == nil {
		t.Errorf("what is no system is %s", got)
	}
}

// TestSystemsTellsTheSpecialisation: what runs is told to be one of what is
// registered, and of nothing else.
func TestSystemsTellsTheSpecialisation(t *testing.T) {
	for _, tt := range []struct{ name, current, want string }{
		{"the system itself", pathB, ""},
		{"its specialisation", special, "docked"},
		{"another system", pathA, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := specialised(t, tt.current).Systems()
			if err != nil || got.Specialisation != tt.want || got.Current != parse(t, tt.current) {
				t.Errorf("Systems = %+v, %v; want specialisation %q", got, err, tt.want)
			}
		})
	}
}
