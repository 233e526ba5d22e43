package machine

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/agent/internal/check"
	"kedge/agent/internal/closure"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/health"
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

// units is systemd, as far as it lists units that are in trouble and restarts
// one.
type units struct {
	Systemd
	troubled  systemd.Units
	restarted *string
}

func (units) Rest() {}

func (u units) Troubled(context.Context) (systemd.Units, error) { return u.troubled, nil }

func (u units) RestartUnit(_ context.Context, name string) error {
	*u.restarted = name
	return nil
}

func TestBaseline(t *testing.T) {
	m := New(Options{Systemd: units{troubled: systemd.Units{{Name: "b.service", ActiveState: systemd.Failed}}}, Log: slog.New(slog.DiscardHandler)})
	got, err := m.Baseline(t.Context(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(deployment.Baseline{Failed: []string{"b.service"}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func (units) Unit(context.Context, string) (systemd.Unit, error) {
	return systemd.Unit{ActiveState: systemd.Active}, nil
}

func TestTry(t *testing.T) {
	m := New(Options{Systemd: units{}, Log: slog.New(slog.DiscardHandler)})
	got := m.Try(t.Context(), check.Subject{Deployment: "7-x"}, []deployment.Check{
		{Name: "unit", Unit: "app.service"},
		{Name: "exec", Exec: []string{"/bin/sh", "-c", `test "$KEDGE_DEPLOYMENT" = 7-x`}},
	})
	if len(got) != 2 || !got[0].Passed || !got[1].Passed {
		t.Errorf("got %+v", got)
	}
}

func TestRestartAgent(t *testing.T) {
	var restarted string
	if err := New(Options{Systemd: units{restarted: &restarted}}).RestartAgent(t.Context()); err != nil || restarted != health.AgentUnit {
		t.Errorf("restarted %q, %v", restarted, err)
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

// TestWhatARunSaidIsKept: with the deployment that it was of, but not that somebody else
// was switching.
func TestWhatARunSaidIsKept(t *testing.T) {
	root, files := t.TempDir(), statefile.Dir{State: t.TempDir(), Runtime: t.TempDir()}
	toplevel := parse(t, toplevelText)
	program := filepath.Join(root, toplevelText, "bin/switch-to-configuration")
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := files.Save(deployment.Deployment{ID: "7-x", Phase: proto.PhaseActivating}); err != nil {
		t.Fatal(err)
	}
	m := New(Options{Root: root, Files: files, Log: slog.New(slog.DiscardHandler)})
	for _, script := range []string{"echo 'app.service failed'; exit 4", "echo 'Could not acquire lock' >&2; exit 11"} {
		if err := os.WriteFile(program, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Activate(t.Context(), toplevel, false); err != nil {
			t.Fatal(err)
		}
	}
	got, err := files.Outputs()
	if err != nil || len(got) != 1 {
		t.Fatalf("got %+v, %v", got, err)
	}
	want := statefile.Output{Deployment: "7-x", Toplevel: toplevel, Phase: proto.PhaseActivating, Mode: proto.ModeTest, Text: "app.service failed", Time: got[0].Time}
	if diff := cmp.Diff(want, got[0], cmp.AllowUnexported(proto.StorePath{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
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
	if err := s.Hold(toplevel); err != nil {
		t.Fatal(err)
	}
	if got, err := os.Readlink(filepath.Join(s.Roots.Dir, "current")); err != nil || got != toplevelText {
		t.Errorf("root of what is activated: got %q, %v", got, err)
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

func TestRecalled(t *testing.T) {
	files := statefile.Dir{State: t.TempDir(), Runtime: t.TempDir()}
	m := New(Options{Files: files, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := m.Recalled(ctx, "7-x"); got != "" {
		t.Errorf("got %q, want nobody", got)
	}
	if err := files.Recall(statefile.Recall{Deployment: "7-x", By: "ada"}); err != nil {
		t.Fatal(err)
	}
	if got := m.Recalled(ctx, "7-x"); got != "by ada" {
		t.Errorf("got %q, want who it was, whatever ctx says", got)
	}
}

// TestBless: the boot is only called good to a loader that counts it.
func TestBless(t *testing.T) {
	var started []string
	m := New(Options{Root: t.TempDir(), Systemd: starts{started: &started}, Log: slog.New(slog.DiscardHandler)})
	m.loader.Root = m.root
	if err := m.Bless(t.Context()); err != nil || started != nil {
		t.Errorf("not counted: %v, %q started", err, started)
	}
	variables := filepath.Join(m.root, "sys/firmware/efi/efivars")
	if err := os.MkdirAll(variables, 0o755); err != nil {
		t.Fatal(err)
	}
	path := []byte("\x06\x00\x00\x00/\x00x\x00\x00\x00")
	if err := os.WriteFile(filepath.Join(variables, "LoaderBootCountPath-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"), path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := m.Bless(t.Context()); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"systemd-bless-boot.service"}, started); diff != "" {
		t.Errorf("counted: started (-want +got):\n%s", diff)
	}
}

// starts is systemd, as far as it starts units.
type starts struct {
	Systemd
	started *[]string
}

func (s starts) StartUnit(_ context.Context, name string) error {
	*s.started = append(*s.started, name)
	return nil
}

// TestGuardKeepsTheAgent: the agent of a system that was only tried is in no
// generation.
func TestGuardKeepsTheAgent(t *testing.T) {
	s := Store{
		Files: statefile.Dir{State: t.TempDir(), Runtime: t.TempDir()},
		Roots: closure.Roots{Dir: filepath.Join(t.TempDir(), "kedge")},
	}
	const object = "/nix/store/11111111111111111111111111111111-kedge"
	for _, agent := range []string{object + "/bin/kedge-agent", "/opt/kedge-agent"} {
		if err := s.Guard(agent); err != nil {
			t.Fatal(err)
		}
		if got, err := os.Readlink(filepath.Join(s.Roots.Dir, "agent")); err != nil || got != object {
			t.Errorf("root: got %q, %v", got, err)
		}
		if got, err := os.Readlink(filepath.Join(s.Files.State, "trial")); err != nil || got != agent {
			t.Errorf("the next boot runs %q, %v", got, err)
		}
	}
	if err := s.Guard("/nix/store/nonsense/bin/kedge-agent"); err == nil {
		t.Error("an agent without a root is named")
	}
}
