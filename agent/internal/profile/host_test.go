//go:build host

package profile

import (
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"kedge/internal/nix"
)

// TestRealRegister has the real Nix change the system profile of the system
// that it is started in, which must be a test host.
func TestRealRegister(t *testing.T) {
	build := func(name string) string {
		t.Helper()
		file := filepath.Join(t.TempDir(), name)
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "HOME=/root; export HOME; echo "+name+" >"+file+" && nix-store --add "+file).Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out[:len(out)-1])
	}
	a, b := parse(t, build("a")), parse(t, build("b"))
	s := System{Nix: nix.Links{}}
	first, err := s.Register(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	second, err := s.Register(t.Context(), b)
	if err != nil || second != first+1 {
		t.Fatalf("got %v, %v; want %v", second, err, first+1)
	}
	t.Logf("registered in %v", time.Since(start))
	start = time.Now()
	if again, err := s.Register(t.Context(), b); err != nil || again != second {
		t.Errorf("again: got %v, %v; want %v", again, err, second)
	}
	t.Logf("registered again in %v", time.Since(start))
	if back, err := s.Restore(t.Context(), a, first); err != nil || back != first {
		t.Errorf("restore: got %v, %v; want %v", back, err, first)
	}
	if got, err := s.Systems(); err != nil || got.Profile != a || got.Generation != first {
		t.Errorf("got %+v, %v", got, err)
	}
	if third, err := s.Register(t.Context(), b); err != nil || third != second {
		t.Errorf("once more: got %v, %v; want %v", third, err, second)
	}
}
