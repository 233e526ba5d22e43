package agent_test

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"kedge/proto"
)

// TestWhereNothingCanBeWatched deploys where another program has all that the kernel has
// for watching files: this test runs once more, as a user of whom that is true.
func TestWhereNothingCanBeWatched(t *testing.T) {
	const within, limit = "KEDGE_TEST_UNWATCHED", "/proc/sys/user/max_inotify_instances"
	if os.Getenv(within) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=1m")
		cmd.Env = append(os.Environ(), within+"=1")
		ids := []syscall.SysProcIDMap{{Size: 1, HostID: os.Getuid()}}
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: ids, GidMappings: ids}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	if err := os.WriteFile(limit, []byte("0"), 0); err != nil {
		t.Fatal(err)
	}
	if fd, err := syscall.InotifyInit(); err == nil {
		t.Fatalf("files can be watched all the same, by %d", fd)
	}
	w := newWorld(t)
	w.start()
	w.assign(7, pathB)
	w.commit(w.awaitTransaction())
	w.awaitStatus("the commit to be reported", func(s proto.Status) bool { return s.Deployment.Phase == proto.PhaseCommitted })
}
