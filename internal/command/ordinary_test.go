package command

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"time"
)

// TestWhatIsRunIsNotSpared has this process be one that is not as every other.
func TestWhatIsRunIsNotSpared(t *testing.T) {
	const score = "/proc/self/oom_score_adj"
	before, err := os.ReadFile(score)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(score, []byte("300"), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(score, before, 0); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := Run(ctx, New(ctx, time.Second, "sh", "-c", `until test "$(cat /proc/$$/oom_score_adj)" = 0; do :; done`)); err != nil {
		t.Errorf("the program is spared: %v", err)
	}
	if err := withChild(ctx); err != nil {
		t.Errorf("what it has started is spared: %v", err)
	}
	if err := Run(t.Context(), New(t.Context(), time.Second, "/does/not/exist")); err == nil {
		t.Error("what is not there was run")
	}
	if err := Run(t.Context(), New(t.Context(), time.Second, "sh", "-c", "exit 3")); err == nil {
		t.Error("a failure is none")
	}
}

// withChild has a program be ordinary once it has a child, which it waits for.
func withChild(ctx context.Context) error {
	cmd := New(ctx, time.Second, "sh", "-c", `(echo up; until test "$(cat /proc/self/oom_score_adj)" = 0; do :; done) & wait $!`)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if _, err := io.ReadFull(out, make([]byte, len("up\n"))); err != nil {
		return errors.Join(err, cmd.Wait())
	}
	ordinary(cmd.Process.Pid)
	return cmd.Wait()
}
