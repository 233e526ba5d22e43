package controller

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
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
	s := newRolloutStore(t)
	if _, found, past, err := s.Load("main"); found || len(past) > 0 || err != nil {
		t.Errorf("before the first: %t, %v, %v", found, past, err)
	}
	began := time.Now().UTC()
	var forgotten []rollout.Rollout
	for i := range 4 {
		r := plannedFor(t, fmt.Sprint("r", i), began.Add(time.Duration(i)*time.Minute))
		if err := s.Save(r); err != nil {
			t.Fatal(err)
		}
		if err := s.Retire(r, forgotten...); err != nil { // and then it ends without another one having begun
			t.Fatal(err)
		}
		forgotten = []rollout.Rollout{plannedFor(t, "r0", began), plannedFor(t, "r1", began)} // r0 once more
	}
	current, found, past, err := s.Load("main")
	last := "r3"
	if err != nil || !found || current.ID != last || current.Hosts[host(t, "web1")].Toplevel != storePath(t, "a") {
		t.Errorf("current = %+v, %t, %v; want %s", current, found, err, last)
	}
	if len(past) != 1 || past[0].ID != "r2" {
		t.Errorf("%+v are remembered; want r2, and not the current one twice", past)
	}
	if _, found, _, err := s.Load("testing"); found || err != nil {
		t.Errorf("another channel: %t, %v", found, err)
	}
}

func newRolloutStore(t *testing.T) rolloutStore {
	return rolloutStore{dir: t.TempDir(), shared: alone, log: slog.New(slog.DiscardHandler)}
}

func TestRolloutStoreRefusesACurrentRolloutThatCannotBeRead(t *testing.T) {
	for content, advice := range map[string]string{`{"format":1,`: "move it away", `{"format":2}`: "use the version that wrote it"} {
		s := newRolloutStore(t)
		if err := s.Save(plannedFor(t, "r0", time.Now())); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(s.dir, "main", currentRollout+".json")
		writeText(t, path, content)
		_, _, _, err := s.Load("main")
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), advice) {
			t.Errorf("%s: error = %v, want one that names the file, and says: %s", content, err, advice)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Errorf("the file is %q, %v afterwards", got, err)
		}
	}
}

func TestRolloutStoreSetsAsideAPastRolloutThatCannotBeRead(t *testing.T) {
	s, said := newRolloutStore(t), strings.Builder{}
	s.log = slog.New(slog.NewTextHandler(&said, nil))
	var forgotten []string
	s.shared = func(path string) error {
		if _, err := os.Stat(path); err != nil {
			forgotten = append(forgotten, path)
		}
		return nil
	}
	began := time.Now()
	for i, id := range []string{"r0", "r1"} {
		if err := s.Retire(plannedFor(t, id, began.Add(time.Duration(i)*time.Minute))); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(s.dir, "main", "r0.json")
	writeText(t, path, "torn")
	if err := s.Save(plannedFor(t, "r2", began.Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	current, _, past, err := s.Load("main")
	if err != nil || current.ID != "r2" || len(past) != 1 || past[0].ID != "r1" {
		t.Errorf("current = %s, past = %v, error = %v", current.ID, past, err)
	}
	if got, err := os.ReadFile(path + unreadable); err != nil || string(got) != "torn" {
		t.Errorf("set aside is %q, %v", got, err)
	}
	if !slices.Equal(forgotten, []string{path}) || !strings.Contains(said.String(), path) {
		t.Errorf("other controllers forget %v; it is said: %s", forgotten, said.String())
	}
	if err := s.Retire(current); err != nil {
		t.Errorf("and then nothing is remembered any more: %v", err)
	}
}

func writeText(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRolloutStoreRefusesTheRolloutOfAnotherChannel(t *testing.T) {
	s := newRolloutStore(t)
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
