package build

import (
	"os"
	"path/filepath"
	"testing"
)

// TestTheMemoryOfTheServiceCounts, and not only that of the machine.
func TestTheMemoryOfTheServiceCounts(t *testing.T) {
	root := t.TempDir()
	limit := func(group, file, text string) {
		dir := filepath.Join(root, group)
		must(t, os.MkdirAll(dir, 0o755))
		must(t, os.WriteFile(filepath.Join(dir, file), []byte(text+"\n"), 0o644))
	}
	const service = "/system.slice/kedge-controller.service"
	for _, step := range []struct {
		group, file, text string
		want              uint64
	}{
		{service, "memory.max", "max", ^uint64(0)},
		{"/system.slice", "memory.max", "9000000000", 9_000_000_000},
		{service, "memory.max", "8000000000", 8_000_000_000},
		{service, "memory.high", "7000000000", 7_000_000_000},
		{"/system.slice", "memory.max", "6000000000", 6_000_000_000},
	} {
		limit(step.group, step.file, step.text)
		if got := limitOf(root, service); got != step.want {
			t.Errorf("after %s %s %s: %d, want %d", step.group, step.file, step.text, got, step.want)
		}
	}
	if got := memoryOf(t.TempDir()); got == 0 || got == ^uint64(0) {
		t.Errorf("without limits: %d, want what the machine has", got)
	}
	if got := workers(6_000_000_000, 4<<10); got != 1 {
		t.Errorf("%d evaluations of 4 GiB at once in 6 GB, want one", got)
	}
}
