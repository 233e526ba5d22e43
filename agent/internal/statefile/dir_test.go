package statefile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/agent/internal/deployment"
	"kedge/internal/durable"
	"kedge/proto"
)

const (
	pathA = "/nix/store/00000000000000000000000000000000-nixos-system-a"
	pathB = "/nix/store/11111111111111111111111111111111-nixos-system-b"
)

func parse(t *testing.T, s string) proto.StorePath {
	t.Helper()
	p, err := proto.ParseStorePath(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var compareValues = cmp.AllowUnexported(proto.StorePath{}, proto.Revision{}, proto.Digest{})

// noon is an instant as documents keep it: without a monotonic clock.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func newDir(t *testing.T) Dir {
	t.Helper()
	d := Dir{State: filepath.Join(t.TempDir(), "var/kedge"), Runtime: filepath.Join(t.TempDir(), "run/kedge")}
	if err := d.Prepare(); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestPrepareKeepsUsersOut(t *testing.T) {
	d := newDir(t)
	if err := d.Prepare(); err != nil {
		t.Errorf("again: %v", err)
	}
	for dir, want := range map[string]os.FileMode{d.State: 0o700, d.Runtime: 0o711} {
		info, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s: permissions %o, want %o", dir, got, want)
		}
	}
}

func TestDocuments(t *testing.T) {
	record := deployment.Deployment{
		ID: "d1", Serial: 7, Toplevel: parse(t, pathB), Phase: proto.PhaseActivating, Started: noon, Since: noon,
		Proven:       deployment.Proven{Toplevel: parse(t, pathA), Generation: 3, Since: noon},
		Probation:    deployment.Probation{Grace: 10 * time.Second, Deadline: time.Minute, Checks: []deployment.Check{{Name: "app", Unit: "app.service", Required: true}}},
		History:      []deployment.Step{{Phase: proto.PhaseAccepted, Time: noon}},
		FailedBefore: []string{"old.service"},
	}
	floor := proto.Floor{Serial: 7, Issued: noon, Withdrawn: []proto.Digest{proto.DigestOf([]byte("x"))}, WithdrawalSerial: 2}
	proven := deployment.Proven{Toplevel: parse(t, pathA), Generation: 3, Adopted: true, Since: noon}

	t.Run("deployment", func(t *testing.T) {
		d := newDir(t)
		check(t, d, DeploymentFile, d.Deployment, d.Save, record)
	})
	t.Run("floor", func(t *testing.T) {
		d := newDir(t)
		check(t, d, floorFile, d.Floor, d.SaveFloor, floor)
	})
	t.Run("proven", func(t *testing.T) {
		d := newDir(t)
		check(t, d, provenFile, d.Proven, d.SaveProven, proven)
	})
}

// check tests one document: missing, written, torn, and of another version.
func check[T any](t *testing.T, d Dir, name string, read func() (T, error), write func(T) error, v T) {
	t.Helper()
	var zero T
	got, err := read()
	if err != nil {
		t.Errorf("missing: %v", err)
	}
	if diff := cmp.Diff(zero, got, compareValues); diff != "" {
		t.Errorf("missing (-want +got):\n%s", diff)
	}
	if err := write(v); err != nil {
		t.Fatal(err)
	}
	if got, err = read(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(v, got, compareValues); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
	path := filepath.Join(d.State, name)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b[:len(b)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	var corrupt *durable.CorruptError
	if _, err := read(); !errors.As(err, &corrupt) || !strings.Contains(err.Error(), path) {
		t.Errorf("torn: got %v", err)
	}
	if err := os.WriteFile(path, []byte(`{"format":99}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var format *durable.FormatError
	if _, err := read(); !errors.As(err, &format) {
		t.Errorf("of a newer version: got %v", err)
	}
}

func TestQuarantine(t *testing.T) {
	d := newDir(t)
	a, b := parse(t, pathA), parse(t, pathB)
	if err := d.Quarantine(b, proto.ReasonUnitsFailed, noon); err != nil {
		t.Fatal(err)
	}
	if err := d.Quarantine(a, proto.ReasonNoContact, noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	all, err := d.Quarantines(noon.Add(2 * time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	want := []Quarantine{
		{Toplevel: a, Reason: proto.ReasonNoContact, Since: noon.Add(time.Hour), Until: noon.Add(25 * time.Hour)},
		{Toplevel: b, Reason: proto.ReasonUnitsFailed, Since: noon, Until: noon.Add(24 * time.Hour)},
	}
	if diff := cmp.Diff(want, all, compareValues); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	steps := []struct {
		name string
		at   time.Time
		want bool
	}{
		{"at once", noon, true},
		{"at the end", noon.Add(24*time.Hour - time.Second), true},
		{"after it", noon.Add(24 * time.Hour), false},
		{"clock set back a little", noon.Add(-time.Hour), true},
		{"clock set back by years", noon.AddDate(-10, 0, 0), false},
	}
	for _, s := range steps {
		q, got, err := d.Quarantined(b, s.at)
		if err != nil || got != s.want || got && q.Reason != proto.ReasonUnitsFailed {
			t.Errorf("%s: got %+v, %v, %v; want %v", s.name, q, got, err, s.want)
		}
	}
	if err := d.Lift(a, noon); err != nil {
		t.Fatal(err)
	}
	if _, got, err := d.Quarantined(a, noon.Add(time.Hour)); got || err != nil {
		t.Errorf("lifted: got %v, %v", got, err)
	}
	if _, got, err := d.Quarantined(b, noon); !got || err != nil {
		t.Errorf("the other one: got %v, %v", got, err)
	}
}

func TestQuarantineRefusesATornFile(t *testing.T) {
	d := newDir(t)
	if err := os.WriteFile(filepath.Join(d.State, quarantineFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	var corrupt *durable.CorruptError
	if _, _, err := d.Quarantined(parse(t, pathA), noon); !errors.As(err, &corrupt) {
		t.Errorf("read: got %v", err)
	}
	if err := d.Quarantine(parse(t, pathA), proto.ReasonNoContact, noon); !errors.As(err, &corrupt) {
		t.Errorf("write: got %v", err)
	}
}

func TestLockTransaction(t *testing.T) {
	d := newDir(t)
	first, err := d.LockTransaction()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.LockTransaction(); !errors.Is(err, ErrLocked) {
		t.Errorf("second: got %v", err)
	}
	if err := first.Unlock(); err != nil {
		t.Fatal(err)
	}
	third, err := d.LockTransaction()
	if err != nil {
		t.Fatalf("after unlock: %v", err)
	}
	if err := third.Unlock(); err != nil {
		t.Fatal(err)
	}
}
