//go:build e2e

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kedge/e2e/hosts"
)

// testFleet is what the demo is called here: a person may have kept one.
const testFleet = "t-demo"

func TestDown(t *testing.T) {
	left := filepath.Join(hosts.Dir, testFleet+"-left")
	if err := os.MkdirAll(left, 0o755); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := run(t.Context(), &out, options{fleet: testFleet, down: true}); err != nil {
		t.Error(err)
	}
	if want := "taken down: [" + testFleet + "-left]\n"; out.String() != want {
		t.Errorf("it says %q, want %q", &out, want)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", left, err)
	}
}

func TestInterruptedWhilePreparing(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	var out strings.Builder
	if err := run(ctx, &out, options{fleet: testFleet}); !errors.Is(err, context.Canceled) {
		t.Errorf("it ends with %v, want context.Canceled", err)
	}
	left, err := filepath.Glob(filepath.Join(hosts.Dir, testFleet+"*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}
