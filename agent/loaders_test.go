package agent

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"kedge/agent/internal/loader"
	"kedge/agent/internal/statefile"
)

func TestBootLoaderIsAskedOnce(t *testing.T) {
	asked := loader.Support{Loader: "systemd-boot 257", Protection: loader.OneShot, Asked: true}
	for _, tt := range []struct {
		name   string
		found  loader.Support
		own    string // the second agent's path
		tear   bool
		detect int // how often, by two agents
	}{
		{"by one agent that is restarted", asked, "/a", false, 1},
		{"by another agent", asked, "/b", false, 2},
		{"what it remembers cannot be read", asked, "/a", true, 2},
		{"no program was asked", loader.Support{Loader: "GRUB", Protection: loader.OneShot}, "/a", false, 2},
		{"nothing good was found out", loader.Support{Loader: "systemd-boot 257", Protection: loader.None, Reason: "no partition"}, "/a", false, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			files := statefile.Dir{State: dir, Runtime: dir}
			detected := 0
			detect := func(context.Context) loader.Support {
				detected++
				return tt.found
			}
			for _, own := range []string{"/a", tt.own} {
				if got := knownLoader(t.Context(), files, own, detect, slog.New(slog.DiscardHandler)); got != tt.found {
					t.Errorf("%s: got %+v, want %+v", own, got, tt.found)
				}
				if tt.tear {
					if err := os.WriteFile(filepath.Join(dir, "loader.json"), []byte("{"), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			if detected != tt.detect {
				t.Errorf("asked %d times, want %d", detected, tt.detect)
			}
		})
	}
}

// As where /boot is mounted when it is looked at, from a disk that died.
func TestABootLoaderThatDoesNotAnswerIsNotWaitedForForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, dead := t.TempDir(), make(chan struct{})
		defer close(dead)
		files := statefile.Dir{State: dir, Runtime: dir}
		began := time.Now()
		s := knownLoader(t.Context(), files, "/a", func(context.Context) loader.Support {
			<-dead
			return loader.Support{}
		}, slog.New(slog.DiscardHandler))
		if s.Protection != loader.None || s.Reason == "" || s.Asked {
			t.Errorf("got %+v, want that nothing is known", s)
		}
		if took := time.Since(began); took != loaderPatience {
			t.Errorf("it was waited for for %s", took)
		}
	})
}
