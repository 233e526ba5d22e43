package statefile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"kedge/agent/internal/statefile"
)

func TestTheTrialLinkCanBeSetAndTakenBackAgainAndAgain(t *testing.T) {
	d := statefile.Dir{State: t.TempDir(), Runtime: t.TempDir()}
	link := filepath.Join(d.State, "trial")
	for _, agent := range []string{"/nix/store/a/bin/kedge-agent", "/nix/store/b/bin/kedge-agent", "/nix/store/b/bin/kedge-agent"} {
		if err := d.SetTrial(agent); err != nil {
			t.Fatal(err)
		}
		if got, err := os.Readlink(link); err != nil || got != agent {
			t.Errorf("the link names %q, %v; want %q", got, err, agent)
		}
	}
	for range 2 {
		if err := d.RemoveTrial(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(link); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the link is still there: %v", err)
		}
	}
}
