//go:build host

package nix

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kedge/proto"
)

// TestRealPrepared has one Nix wait while another collects garbage and a third
// instantiates what the first then builds.
func TestRealPrepared(t *testing.T) {
	c := realCLI(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cache := t.TempDir()
	o := RealiseOptions{CopyTo: "file://" + cache, KeepGoing: true}
	o.Prepared = c.Prepare(ctx, o)
	unused := c.Prepare(ctx, o)
	unused.Close()
	if left, err := os.ReadDir(cache); err != nil || len(left) > 0 {
		t.Errorf("what waited left %v in the cache, %v", left, err)
	}
	output(t, c, "nix-store", "--gc", "--max-freed", "1")
	o.Derivations = []proto.StorePath{instantiate(t, c, "good")}
	if err := c.Realise(ctx, o); err != nil {
		t.Fatal(err)
	}
	out := parsePath(t, output(t, c, "nix-store", "--query", "--outputs", o.Derivations[0].String()))
	if invalid, err := c.Invalid(ctx, out); err != nil || len(invalid) > 0 {
		t.Errorf("not built: %v, %v", invalid, err)
	}
	if _, err := os.Stat(filepath.Join(cache, out.Hash()+".narinfo")); err != nil {
		t.Errorf("not in the cache: %v", err)
	}
}
