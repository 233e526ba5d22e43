//go:build e2e

package hosts

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestScratch(t *testing.T) {
	const name = "hosts-test-scratch"
	s, err := NewScratch(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.Dir, "part"), nil, 0o644); err != nil {
		t.Error(err)
	}
	if _, err := NewScratch(t.Context(), name); !errors.Is(err, ErrInUse) {
		t.Errorf("NewScratch of a name that is taken = %v, want ErrInUse", err)
	}
	if swept, err := Sweep(t.Context(), name); err != nil || len(swept) != 0 {
		t.Errorf("Sweep while its process lives = %v, %v, want nothing swept", swept, err)
	}
	if err := s.claim.release(); err != nil { // as if its process had been killed
		t.Fatal(err)
	}
	if swept, err := Sweep(t.Context(), name); err != nil || !slices.Equal(swept, []string{name}) {
		t.Errorf("Sweep = %v, %v, want %s swept", swept, err, name)
	}

	if s, err = NewScratch(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Remove(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(s.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", s.Dir, err)
	}
}
