//go:build e2e

package nixosmodule_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDistIsTheSameEverywhere: whoever makes the archive, wherever the project is and whatever their umask, has the
// same bytes. One architecture will do.
func TestDistIsTheSameEverywhere(t *testing.T) {
	var archives [2][]byte
	for i, umask := range []string{"022", "077"} {
		project := filepath.Join(t.TempDir(), strings.Repeat("elsewhere/", i), "kedge")
		copyFiles(t, project, projectFiles(t))
		run(t, project, "sh", "-c", "umask "+umask+" && exec make dist VERSION=1 DIST_ARCHS=amd64")
		var err error
		if archives[i], err = os.ReadFile(filepath.Join(project, "dist/kedge-1-linux-amd64.tar.gz")); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Errorf("archives of %d and %d bytes differ", len(archives[0]), len(archives[1]))
	}
}
