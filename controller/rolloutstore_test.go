package controller

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kedge/controller/internal/rollout"
)

// alone shares nothing, as a controller does that is alone.
func alone(string) error { return nil }

func plannedFor(t *testing.T, id string, created time.Time) rollout.Rollout {
	t.Helper()
	r, err := rollout.Plan(rollout.Draft{
		ID: id, Channel: "main", Revision: revision(t, "1"), Created: created,
		Targets: []rollout.Target{{Host: host(t, "web1"), Toplevel: storePath(t, "a")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRolloutStore(t *testing.T) {
	s := rolloutStore{dir: t.TempDir(), shared: alone}
	if _, found, past, err := s.Load("main"); found || len(past) > 0 || err != nil {
		t.Errorf("before the first: %t, %v, %v", found, past, err)
	}
	began := time.Now().UTC()
	for i := range keptRollouts + 3 {
		r := plannedFor(t, fmt.Sprint("r", i), began.Add(time.Duration(i)*time.Minute))
		if err := s.Save(r); err != nil {
			t.Fatal(err)
		}
		if err := s.Retire(r); err != nil { // and then it ends without another one having begun
			t.Fatal(err)
		}
	}
	current, found, past, err := s.Load("main")
	last := fmt.Sprint("r", keptRollouts+2)
	if err != nil || !found || current.ID != last || current.Hosts[host(t, "web1")].Toplevel != storePath(t, "a") {
		t.Errorf("current = %+v, %t, %v; want %s", current, found, err, last)
	}
	if len(past) != keptRollouts-1 || past[0].ID != fmt.Sprint("r", keptRollouts+1) {
		t.Errorf("%d are remembered, the newest is %s; want %d, and not the current one twice", len(past), past[0].ID, keptRollouts-1)
	}
	if _, found, _, err := s.Load("testing"); found || err != nil {
		t.Errorf("another channel: %t, %v", found, err)
	}
}

func TestRolloutStoreRefusesATornFile(t *testing.T) {
	for _, name := range []string{currentRollout, "r1"} {
		s := rolloutStore{dir: t.TempDir(), shared: alone}
		if err := s.Save(plannedFor(t, "r0", time.Now())); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(s.dir, "main", name+".json")
		if err := os.WriteFile(path, []byte(`{"format":1,`), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := s.Load("main"); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("error = %v, want one that names the file", err)
		}
	}
}

func TestRolloutStoreRefusesTheRolloutOfAnotherChannel(t *testing.T) {
	s := rolloutStore{dir: t.TempDir(), shared: alone}
	if err := s.Save(plannedFor(t, "r1", time.Now())); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(s.dir, "main"), filepath.Join(s.dir, "testing")); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := s.Load("testing"); err == nil || !strings.Contains(err.Error(), `channel "main"`) {
		t.Errorf("error = %v, want one that says whose it is", err)
	}
}
