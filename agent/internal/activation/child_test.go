package activation

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

func TestAChildIsWokenInTimeThoughWeAreNot(t *testing.T) {
	runtime.LockOSThread() // and not unlocked: nobody else shall get a thread whose slack was changed
	const own = 7 * time.Millisecond
	if err := setTimerSlack(own); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "cat", "/proc/self/timerslack_ns")
	var out strings.Builder
	cmd.Stdout = &out
	if err := startPunctual(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || out.String() != "50000\n" {
		t.Errorf("its slack is %q ns, want 50000; %v", out.String(), err)
	}
	if left, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0); time.Duration(left) != own || err != nil {
		t.Errorf("ours is %v afterwards, want %v; %v", time.Duration(left), own, err)
	}
}

// A snippet that waits for something in a loop writes as fast as it can.
func TestAnEndlessOutputDoesNotFillTheFileSystem(t *testing.T) {
	dir := t.TempDir()
	script, seen := filepath.Join(dir, "script"), filepath.Join(dir, "seen")
	text := "echo begins; yes waiting | head -c 20M; until [ -e " + seen + " ]; do sleep 0.01; done; echo ends"
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := createOutput(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.file.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	var end ending
	g.Go(func() (err error) {
		end, err = child{path: "/bin/sh", arg: script, env: os.Environ(), out: out, grace: time.Second}.run(ctx)
		return err
	})
	for look := time.NewTicker(10 * time.Millisecond); ; {
		var s unix.Stat_t
		if err := unix.Fstat(int(out.file.Fd()), &s); err != nil {
			t.Fatal(err)
		}
		if s.Size > maxOutput && s.Blocks*512 < maxOutput/2 {
			break
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			t.Fatalf("%d bytes were written and take %d", s.Size, s.Blocks*512)
		}
	}
	if err := os.WriteFile(seen, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if l := end.output; len(l) < 3 || l[0] != "begins" || l[len(l)-1] != "ends" || strings.Contains(strings.Join(l, ""), "\x00") {
		t.Errorf("it is said to have written %d lines, %.200q", len(l), l)
	}
}

// Nobody can make a process wait for the kernel at will: here it is one that never ends.
func TestAKilledChildIsNotWaitedForForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const nobody = 1 << 30 // above every process id
		began := time.Now()
		waitErr, err := child{grace: time.Minute}.stop(nobody, make(chan error))
		if err == nil || !strings.Contains(err.Error(), "do not end though they were killed") || waitErr != nil {
			t.Errorf("got %v and %v", waitErr, err)
		}
		if took := time.Since(began); took != time.Minute+killPatience {
			t.Errorf("it was waited for for %v", took)
		}
	})
}
