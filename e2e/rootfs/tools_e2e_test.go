//go:build e2e

package rootfs

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestToolsAreInstalledByOneAtATime: apt-get fails while another one runs, and tests of
// several packages want their tools at the same time.
func TestToolsAreInstalledByOneAtATime(t *testing.T) {
	if err := os.MkdirAll(Cache, 0o755); err != nil {
		t.Fatal(err)
	}
	unlock, err := lock(t.Context(), filepath.Join(Cache, "apt.lock"), func(line string) { t.Log(line) })
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancelCause(t.Context())
	givenUp := errors.New("given up")
	said := ""
	err = ensureTools(ctx, []tool{{"no-such-program", "no-such-package"}}, func(line string) {
		said = line
		cancel(givenUp)
	})
	if !errors.Is(err, givenUp) || said == "" {
		t.Errorf("error = %v, said %q; want that it waits, and says so", err, said)
	}
}
