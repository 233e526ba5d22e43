package check

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"kedge/agent/internal/deployment"
	"kedge/e2e/unkillable"
	"kedge/proto"
)

// longEnough is more than a program here takes on a busy machine.
const longEnough = time.Minute

// tellEnvironment makes the program of these tests write its environment and its
// directory to a file.
const tellEnvironment = "tell-environment"

func TestMain(m *testing.M) {
	if unkillable.Hold() {
		return
	}
	if len(os.Args) == 3 && os.Args[1] == tellEnvironment {
		dir, err := os.Getwd()
		if err == nil {
			err = os.WriteFile(os.Args[2], []byte(strings.Join(append(os.Environ(), dir), "\n")), 0o600)
		}
		if err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// sleep is where that program is: checks do not have this machine's PATH.
func sleep(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestExec(t *testing.T) {
	for _, tt := range []struct {
		name   string
		script string
		want   string
	}{
		{"exits with 0", "echo fine", ""},
		{"exits with another code", "echo no frobnicators >&2; exit 3", "/bin/sh: exit status 3: no frobnicators"},
		{"says nothing", "exit 1", "/bin/sh: exit status 1"},
		{"says much", "i=0; while [ $i -lt 1000 ]; do i=$((i+1)); echo line $i; done; exit 1", "line 999 | line 1000"},
		{"says one long line", "printf %100000d 1; exit 1", "exit status 1: "},
		{"is killed", "kill -9 $$", "signal: killed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := deployment.Check{Exec: []string{"/bin/sh", "-c", tt.script}, Timeout: longEnough}
			requireResult(t, &Runner{}, c, tt.want)
		})
	}
	requireResult(t, &Runner{}, deployment.Check{Exec: []string{"/does/not/exist"}}, "no such file or directory")
	requireResult(t, &Runner{}, deployment.Check{Exec: []string{"/bin/echo", "$(exit 1)", ";", "false"}}, "")
}

func TestExecEnvironment(t *testing.T) {
	toplevel, err := proto.ParseStorePath("/nix/store/00000000000000000000000000000000-nixos-system-web1")
	if err != nil {
		t.Fatal(err)
	}
	r := &Runner{Subject: Subject{Deployment: "7-x", Toplevel: toplevel}}
	file := filepath.Join(t.TempDir(), "env")
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := deployment.Check{Exec: []string{own, tellEnvironment, file}, Timeout: longEnough}
	requireResult(t, r, c, "")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Fields(string(b))
	slices.Sort(got)
	want := []string{
		"/", "KEDGE_CHECK=app", "KEDGE_DEPLOYMENT=7-x", "KEDGE_TOPLEVEL=" + toplevel.String(), "PATH=" + searchPath,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// At the timeout the whole group ends, whoever of it is deaf, and the reason has
// what was said by then.
func TestExecEndsAtItsTimeout(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	r := start(ctx, t, `trap "" TERM; exec 3> $FIFO; echo waiting; echo deaf >&3; $SLEEP 600 & wait; while :; do $SLEEP 600; done`)
	if _, err := r.out.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	cancel(errors.New("the time is up"))
	if got := r.result(t); got.Passed || got.Message != "the time is up: waiting" {
		t.Errorf("got %+v", got)
	}
}

// As it is where a driver or a disk does not answer.
func TestAProgramThatCannotBeKilledFails(t *testing.T) {
	script, held := unkillable.Script(t)
	c := deployment.Check{Exec: []string{"/bin/sh", "-c", "echo waiting; " + script}, Timeout: longEnough}
	got := (&Runner{}).Try(unkillable.Context(t, held, errors.New("the time is up")), c)
	if got.Passed || !strings.HasPrefix(got.Message, "the time is up; process ") ||
		!strings.Contains(got.Message, " does not end though it was killed") || !strings.HasSuffix(got.Message, ": waiting") {
		t.Errorf("got %+v", got)
	}
}

// A check that leaves processes with the kernel leaves no more of them with each try.
func TestAProgramThatCannotBeKilledIsNotRunBesideItself(t *testing.T) {
	r := &Runner{}
	runs := filepath.Join(t.TempDir(), "runs")
	c := deployment.Check{Name: "stuck", Exec: []string{"/bin/sh", "-c", "echo run >> " + runs}, Timeout: longEnough}
	t.Run("while it is there", func(t *testing.T) {
		script, held := unkillable.Script(t)
		stuck := c
		stuck.Exec = []string{"/bin/sh", "-c", c.Exec[2] + "; " + script}
		r.Try(unkillable.Context(t, held, errors.New("the time is up")), stuck)
		for range 2 {
			got := r.Try(t.Context(), c)
			if got.Passed || !strings.HasPrefix(got.Message, "/bin/sh: not tried again: processes of group ") {
				t.Errorf("got %+v", got)
			}
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("no time"))
		if got := r.Try(ctx, c); !strings.HasPrefix(got.Message, "no time; not tried again: ") {
			t.Errorf("without time got %+v", got)
		}
		if got := r.Try(t.Context(), deployment.Check{Name: "another", Exec: []string{"/bin/true"}, Timeout: longEnough}); !got.Passed {
			t.Errorf("another one: got %+v", got)
		}
		if ran, err := os.ReadFile(runs); err != nil || string(ran) != "run\n" {
			t.Errorf("ran %q (%v), want one run", ran, err)
		}
	})
	for deadline := time.Now().Add(longEnough); ; { // who held it ends now
		got := r.Try(t.Context(), c)
		if got.Passed {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("afterwards got %+v", got)
		}
	}
}

func TestExecLeavesNothingBehind(t *testing.T) {
	if got := start(t.Context(), t, `exec 3> $FIFO; $SLEEP 600 & exit 0`).result(t); !got.Passed {
		t.Errorf("got %+v", got)
	}
}

// A running is a program whose group is watched by what it opened.
type running struct {
	out   *bufio.Reader // of the pipe
	ended chan proto.CheckResult
}

// start runs a script that opens the pipe $FIFO, and returns then.
func start(ctx context.Context, t *testing.T, script string) running {
	t.Helper()
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	script = strings.NewReplacer("$FIFO", fifo, "$SLEEP", sleep(t)).Replace(script)
	r := running{ended: make(chan proto.CheckResult, 1)}
	go func() {
		r.ended <- (&Runner{}).Try(ctx, deployment.Check{Exec: []string{"/bin/sh", "-c", script}, Timeout: longEnough})
	}()
	pipe, err := os.Open(fifo) // returns when the other end is open
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pipe.Close() })
	r.out = bufio.NewReader(pipe)
	return r
}

// result awaits the end, and fails if anybody of the group is left then.
func (r running) result(t *testing.T) proto.CheckResult {
	t.Helper()
	result := <-r.ended
	if _, err := r.out.ReadByte(); !errors.Is(err, io.EOF) { // comes when nobody can write any more
		t.Errorf("a process of the group wrote something: %v", err)
	}
	return result
}
