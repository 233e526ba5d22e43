package activation

import (
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
