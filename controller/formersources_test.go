package controller_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kedge/controller"
	"kedge/controller/controllertest"
)

// TestTheCopyOfAFormerChannelIsRemoved at the next start, and nothing else.
func TestTheCopyOfAFormerChannelIsRemoved(t *testing.T) {
	c := controllertest.Config(t.TempDir())
	dir := filepath.Join(c.StateDir, "sources")
	for _, name := range []string{"main/mirror/.git", "former/mirror/.git", "somebodys/files", "lost+found/mirror/.git"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(dir, "former"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	if _, err := controller.NewParts(c, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if want := []string{"link", "lost+found", "main", "somebodys"}; !slices.Equal(left, want) {
		t.Errorf("there is left %v, want %v", left, want)
	}
	if !strings.Contains(log.String(), "channel=former") {
		t.Errorf("the log is %q, want the channel's name in it", &log)
	}
}
