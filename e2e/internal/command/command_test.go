package command_test

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"kedge/e2e/internal/command"

	"github.com/google/go-cmp/cmp"
)

func TestRunReturnsStandardOutput(t *testing.T) {
	var seen []string
	got, err := command.Run(t.Context(), command.Command{
		Args:     []string{"cat"},
		Stdin:    strings.NewReader("one\ntwo\nrest"),
		Progress: func(line string) { seen = append(seen, line) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := "one\ntwo\nrest"; got != want {
		t.Errorf("Run(cat) = %q, want %q", got, want)
	}
	if diff := cmp.Diff([]string{"one", "two"}, seen); diff != "" {
		t.Errorf("lines reported while running (-want +got):\n%s", diff)
	}
}

func TestRunExplainsItsFailure(t *testing.T) {
	_, err := command.Run(t.Context(), command.Command{Args: []string{"cat", "/does/not/exist"}})
	failure, ok := errors.AsType[*command.Error](err)
	if !ok {
		t.Fatalf("Run of a failing program returned %T (%v), want *command.Error", err, err)
	}
	if failure.Code != 1 || !strings.Contains(failure.Stderr, "/does/not/exist") {
		t.Errorf("got code %d and stderr %q, want code 1 and the name of the file", failure.Code, failure.Stderr)
	}
	if !strings.Contains(err.Error(), "cat /does/not/exist: exit status 1: ") {
		t.Errorf("error %q does not name the command and its exit status", err)
	}
}

func TestRunKeepsTheEndOfStandardError(t *testing.T) {
	long := strings.Repeat("x", 100_000) + "the end"
	_, err := command.Run(t.Context(), command.Command{Args: []string{"sh", "-c", "cat >&2; exit 3"}, Stdin: strings.NewReader(long)})
	failure, ok := errors.AsType[*command.Error](err)
	if !ok {
		t.Fatalf("Run returned %v, want *command.Error", err)
	}
	if got := len(failure.Stderr); got > 4<<10 || !strings.HasSuffix(failure.Stderr, "the end") {
		t.Errorf("kept %d bytes of standard error, want the last 4096", got)
	}
}

func TestRunOfAMissingProgram(t *testing.T) {
	_, err := command.Run(t.Context(), command.Command{Args: []string{"kedge-no-such-program"}})
	if !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("Run of a missing program = %v, want exec.ErrNotFound in its chain", err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	// The grandchild holds the output open: only killing the whole group ends this in time.
	_, err := command.Run(ctx, command.Command{Args: []string{"sh", "-c", "sleep 60 & sleep 60"}})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run past its deadline = %v, want context.DeadlineExceeded in its chain", err)
	}
}
