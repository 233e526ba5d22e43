//go:build host

package build

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"kedge/internal/nix"
)

// TestRealNixThatWaitsHoldsUpNobody collects garbage while one waits, which takes the
// one lock that all others respect.
func TestRealNixThatWaitsHoldsUpNobody(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cache := t.TempDir()
	waits := (&nix.CLI{}).Prepare(ctx, nix.RealiseOptions{CopyTo: "file://" + cache})
	defer waits.Close()
	awaitStore(ctx, t, cache)
	if out, err := exec.CommandContext(ctx, "nix-store", "--gc", "--max-freed", "1").CombinedOutput(); err != nil {
		t.Errorf("collect garbage: %v\n%s", err, out)
	}
	waits.Close()
	must(t, filepath.WalkDir(cache, func(file string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != "nix-cache-info" { // what a cache begins with may be there
			t.Errorf("what only waited left %s", file)
		}
		return err
	}))
}

// awaitStore waits until the process whose command line has word has opened the store.
func awaitStore(ctx context.Context, t *testing.T, word string) {
	t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
		must(t, err)
		for _, line := range lines {
			if data, _ := os.ReadFile(line); !bytes.Contains(data, []byte(word)) { // it may have ended
				continue
			}
			files, err := filepath.Glob(filepath.Join(filepath.Dir(line), "fd/*"))
			must(t, err)
			for _, file := range files {
				if open, _ := os.Readlink(file); open == "/nix/var/nix/db/db.sqlite" {
					return
				}
			}
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("nobody with %s opens the store: %v", word, context.Cause(ctx))
		}
	}
}
