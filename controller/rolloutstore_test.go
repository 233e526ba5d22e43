package controller

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kedge/controller/internal/rollout"
)

func TestRolloutStore(t *testing.T) {
	s := rolloutStore{dir: t.TempDir()}
	if _, found, err := s.Load("main"); found || err != nil {
		t.Errorf("Load() before the first = %t, %v", found, err)
	}
	want := rollout.New("r1", revision(t, "1"), time.Now().UTC(), []rollout.Target{{Host: host(t, "web1"), Toplevel: storePath(t, "a")}})
	if err := s.Save("main", want); err != nil {
		t.Fatal(err)
	}
	got, found, err := s.Load("main")
	if err != nil || !found || got.ID != want.ID || got.Hosts[host(t, "web1")] != want.Hosts[host(t, "web1")] {
		t.Errorf("Load() = %+v, %t, %v; want %+v", got, found, err, want)
	}
}

func TestRolloutStoreRefusesATornFile(t *testing.T) {
	s := rolloutStore{dir: t.TempDir()}
	if err := errors.Join(os.Mkdir(filepath.Dir(s.path("main")), 0o700), os.WriteFile(s.path("main"), []byte(`{"format":1,`), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Load("main"); err == nil || !strings.Contains(err.Error(), s.path("main")) {
		t.Errorf("error = %v, want one that names the file", err)
	}
}
