package hook

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/agent/internal/deployment"
	"kedge/e2e/unkillable"
	"kedge/proto"
)

func TestMain(m *testing.M) {
	if unkillable.Hold() {
		return
	}
	os.Exit(m.Run())
}

const patience = time.Minute // of a hook that shall not be stopped

// script returns a hook that is a shell script.
func script(t *testing.T, timeout time.Duration, text string) Hook {
	t.Helper()
	file := filepath.Join(t.TempDir(), "drain")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return Hook{Exec: []string{file, "web"}, Timeout: timeout}
}

func call(t *testing.T, hooks ...Hook) Call {
	t.Helper()
	c := Call{Point: PostRollback, Hooks: hooks, Deployment: deployment.Deployment{
		ID: "7-x", Phase: proto.PhaseRolledBack, Reason: proto.ReasonUnitsFailed,
	}}
	c.Deployment.Specialisation.Name = "docked"
	for to, from := range map[interface{ UnmarshalText(b []byte) error }]string{
		&c.Host:                       "web1",
		&c.Deployment.Toplevel:        "/nix/store/11111111111111111111111111111111-new",
		&c.Deployment.Proven.Toplevel: "/nix/store/00000000000000000000000000000000-old",
		&c.Deployment.Revision:        strings.Repeat("a", 40),
	} {
		if err := to.UnmarshalText([]byte(from)); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func TestAHookGetsItsEnvironmentAndNoOther(t *testing.T) {
	t.Setenv("SECRET", "1")
	out := filepath.Join(t.TempDir(), "out")
	h := script(t, patience, `{ pwd; echo "$@"; env | grep -v '^\(PWD\|SHLVL\|_\)=' | sort; } > `+out)
	if err := (Runner{Path: os.Getenv("PATH")}).Run(t.Context(), call(t, h)); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	want := `/
web
KEDGE_DEPLOYMENT=7-x
KEDGE_HOOK=post-rollback
KEDGE_HOST=web1
KEDGE_PROVEN=/nix/store/00000000000000000000000000000000-old
KEDGE_REASON=units-failed
KEDGE_REVISION=` + strings.Repeat("a", 40) + `
KEDGE_SPECIALISATION=docked
KEDGE_TOPLEVEL=/nix/store/11111111111111111111111111111111-new
KEDGE_VERDICT=rolled-back
PATH=` + os.Getenv("PATH") + "\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTheFirstHookThatFailsIsTheLast(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	err := (Runner{Path: os.Getenv("PATH")}).Run(t.Context(), call(t,
		script(t, patience, "echo one >> "+mark),
		script(t, patience, `for n in $(seq 1000); do echo "line $n" >&2; done; exit 3`),
		script(t, patience, "echo three >> "+mark),
	))
	if err == nil || !strings.HasPrefix(err.Error(), "post-rollback hook drain: exit status 3: line ") ||
		!strings.HasSuffix(err.Error(), "\nline 999\nline 1000") || len(err.Error()) > 2*saidLimit {
		t.Errorf("got %v, want which, why, and the last lines", err)
	}
	if got, err := os.ReadFile(mark); err != nil || string(got) != "one\n" {
		t.Errorf("ran %q (%v), want those before it", got, err)
	}
}

func TestOfAHookThatHangsNothingIsLeft(t *testing.T) {
	for name, text := range map[string]string{
		"it ends when it is asked":      "sleep 600 & echo $! > $PIDS; echo waiting; wait",
		"it does not want to end":       "trap '' TERM; sleep 600 & echo $! > $PIDS; echo waiting; while :; do wait; done",
		"a child ignores it and it not": "sh -c \"trap '' TERM; exec sleep 600\" & echo $! > $PIDS; echo waiting; wait",
	} {
		t.Run(name, func(t *testing.T) {
			pids := filepath.Join(t.TempDir(), "pids")
			h := script(t, time.Second, strings.ReplaceAll(text, "$PIDS", pids))
			err := (Runner{Path: os.Getenv("PATH"), StopDelay: 100 * time.Millisecond}).Run(t.Context(), call(t, h))
			if err == nil || !strings.Contains(err.Error(), "it did not end within 1s: waiting") {
				t.Errorf("got %v, want the deadline and what it said", err)
			}
			requireGone(t, pids)
		})
	}
}

func TestAHookThatCannotBeKilledFails(t *testing.T) {
	text, held := unkillable.Script(t)
	h := script(t, patience, "echo waiting; "+text)
	ctx := unkillable.Context(t, held, errors.New("overtaken"))
	err := (Runner{Path: os.Getenv("PATH"), StopDelay: 10 * time.Millisecond}).Run(ctx, call(t, h))
	if err == nil || !strings.Contains(err.Error(), "overtaken; process ") ||
		!strings.Contains(err.Error(), " does not end though it was killed") || !strings.HasSuffix(err.Error(), ": waiting") {
		t.Errorf("got %v, want why it was ended, that it does not end, and what it said", err)
	}
}

func TestAHookThatLeavesSomethingBehindEndedWell(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	h := script(t, patience, "sleep 600 & echo $! > "+pids)
	if err := (Runner{Path: os.Getenv("PATH"), StopDelay: 100 * time.Millisecond}).Run(t.Context(), call(t, h)); err != nil {
		t.Error(err)
	}
	requireGone(t, pids)
}

func TestAHookEndsWithItsContext(t *testing.T) {
	overtaken := errors.New("overtaken")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(overtaken)
	err := (Runner{Path: os.Getenv("PATH")}).Run(ctx, call(t, script(t, patience, "sleep 600")))
	if !errors.Is(err, overtaken) {
		t.Errorf("got %v, want %v", err, overtaken)
	}
}

func TestAHookThatIsNotThereFails(t *testing.T) {
	err := Runner{}.Run(t.Context(), call(t, Hook{Exec: []string{"/nonexistent"}, Timeout: patience}))
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want %v", err, os.ErrNotExist)
	}
}

func TestOnlyAnEndIsFollowed(t *testing.T) {
	got := map[Point][]proto.Phase{}
	for _, p := range append(proto.Phases(), proto.PhaseNone) {
		if at := After(p); at != "" {
			got[at] = append(got[at], p)
		}
	}
	want := map[Point][]proto.Phase{
		PostCommit:   {proto.PhaseCommitted},
		PostRollback: {proto.PhaseRolledBack, proto.PhaseInconclusive, proto.PhaseRollbackFailed},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// requireGone waits until the process of that file has ended, which the kernel
// does on its own time.
func requireGone(t *testing.T, pids string) {
	t.Helper()
	text, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	stat := filepath.Join("/proc", strings.TrimSpace(string(text)), "stat")
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		b, err := os.ReadFile(stat)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) || strings.Contains(string(b), ") Z ") {
			return
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("it still runs")
		case <-time.After(patience):
			t.Fatalf("it still runs: %s", b)
		}
	}
}
