package machine

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/agent/internal/closure"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/statefile"
	"kedge/agent/internal/systemd"
	"kedge/proto"
)

const toplevelText = "/nix/store/00000000000000000000000000000000-nixos-system-web1"

func parse(t *testing.T, s string) proto.StorePath {
	t.Helper()
	p, err := proto.ParseStorePath(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// troubled is systemd, as far as it lists units that are in trouble.
type troubled struct {
	Systemd
	units systemd.Units
}

func (troubled) Rest() {}

func (s troubled) Troubled(context.Context) (systemd.Units, error) { return s.units, nil }

func TestFailedUnits(t *testing.T) {
	units := systemd.Units{
		{Name: "b.service", ActiveState: systemd.Failed},
		{Name: "c.service", ActiveState: systemd.Activating, SubState: "auto-restart", Result: "exit-code", ExecMainStatus: 1},
		{Name: "d.service", ActiveState: systemd.Activating, SubState: "auto-restart", Result: "success"},
	}
	m := New(Options{Systemd: troubled{units: units}, Log: slog.New(slog.DiscardHandler)})
	got, err := m.FailedUnits(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"b.service", "c.service"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBootID(t *testing.T) {
	root := t.TempDir()
	if _, err := BootID(root); err == nil {
		t.Error("missing: no error")
	}
	file := filepath.Join(root, bootIDFile)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("abc-def\n"), 0o444); err != nil {
		t.Fatal(err)
	}
	if got, err := New(Options{Root: root}).BootID(); err != nil || got != "abc-def" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestStore(t *testing.T) {
	s := Store{
		Files: statefile.Dir{State: t.TempDir(), Runtime: t.TempDir()},
		Roots: closure.Roots{Dir: filepath.Join(t.TempDir(), "kedge")},
	}
	toplevel := parse(t, toplevelText)
	if err := s.Prove(deployment.Proven{Toplevel: toplevel, Generation: 4}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Files.Proven(); err != nil || got.Toplevel != toplevel || got.Generation != 4 {
		t.Errorf("proven: got %+v, %v", got, err)
	}
	if got, err := os.Readlink(filepath.Join(s.Roots.Dir, "proven")); err != nil || got != toplevelText {
		t.Errorf("root: got %q, %v", got, err)
	}
	if err := s.Save(deployment.Deployment{ID: "d1"}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Files.Deployment(); err != nil || got.ID != "d1" {
		t.Errorf("record: got %+v, %v", got, err)
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := s.Quarantine(toplevel, proto.ReasonUnitsFailed, now); err != nil {
		t.Fatal(err)
	}
	if _, got, err := s.Files.Quarantined(toplevel, now); err != nil || !got {
		t.Errorf("quarantine: got %v, %v", got, err)
	}
}

// A root that cannot be made keeps the document from naming the system.
func TestProveNamesNothingWithoutARoot(t *testing.T) {
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := Store{Files: statefile.Dir{State: t.TempDir()}, Roots: closure.Roots{Dir: filepath.Join(blocked, "kedge")}}
	if err := s.Prove(deployment.Proven{Toplevel: parse(t, toplevelText)}); err == nil {
		t.Error("no error")
	}
	if got, err := s.Files.Proven(); err != nil || !got.Toplevel.IsZero() {
		t.Errorf("proven: got %+v, %v", got, err)
	}
}
