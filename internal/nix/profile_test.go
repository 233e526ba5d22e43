package nix

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kedge/proto"
)

func TestGenerationsReadsLinks(t *testing.T) {
	dir := t.TempDir()
	profile := filepath.Join(dir, "system[1]*")
	if got, err := Generations(profile); err != nil || len(got) != 0 {
		t.Errorf("no profile: got %v, %v", got, err)
	}
	for _, name := range []string{"-2-link", "-10-link", "-9-link", "-0-link", "-x-link", "-2-link-3-link"} {
		link(t, pathA, profile+name)
	}
	link(t, pathA, filepath.Join(dir, "system1-5-link"))
	got, err := Generations(profile)
	if err != nil {
		t.Fatal(err)
	}
	a := parsePath(t, pathA)
	want := []Generation{{2, a}, {9, a}, {10, a}}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(proto.StorePath{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	link(t, "/etc/passwd", profile+"-11-link")
	if _, err := Generations(profile); !errors.Is(err, proto.ErrInvalidStorePath) {
		t.Errorf("a link out of the store: got %v, want %v", err, proto.ErrInvalidStorePath)
	}
}

func TestCurrentGeneration(t *testing.T) {
	dir := t.TempDir()
	profile := filepath.Join(dir, "system")
	if _, err := CurrentGeneration(profile); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no profile: got %v, want %v", err, fs.ErrNotExist)
	}
	link(t, pathB, profile+"-7-link")
	want := Generation{7, parsePath(t, pathB)}
	for _, target := range []string{"system-7-link", profile + "-7-link"} {
		if err := os.RemoveAll(profile); err != nil {
			t.Fatal(err)
		}
		link(t, target, profile)
		if got, err := CurrentGeneration(profile); err != nil || got != want {
			t.Errorf("profile to %s: got %v, %v, want %v", target, got, err, want)
		}
	}
	if err := os.Remove(profile); err != nil {
		t.Fatal(err)
	}
	link(t, pathB, profile)
	if _, err := CurrentGeneration(profile); err == nil || !strings.Contains(err.Error(), "no generation") {
		t.Errorf("profile straight to the store: got %v", err)
	}
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}
