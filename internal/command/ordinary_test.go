package command

import (
	"context"
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
	for name, script := range map[string]string{
		"the program":         `until test "$(cat /proc/$$/oom_score_adj)" = 0; do :; done`,
		"what it has started": `(until test "$(cat /proc/self/oom_score_adj)" = 0; do :; done) & wait $!`,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		if err := Run(New(ctx, time.Second, "sh", "-c", script)); err != nil {
			t.Errorf("%s is spared: %v", name, err)
		}
		cancel()
	}
	if err := Run(New(t.Context(), time.Second, "/does/not/exist")); err == nil {
		t.Error("what is not there was run")
	}
	if err := Run(New(t.Context(), time.Second, "sh", "-c", "exit 3")); err == nil {
		t.Error("a failure is none")
	}
}
