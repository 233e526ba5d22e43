package agent_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"kedge/agent/internal/statefile"
	"kedge/proto"
)

func TestWhatHasNotChangedIsReadOnce(t *testing.T) {
	w := newWorld(t)
	stop := w.start()
	w.assign(1, pathA)
	ready := func(s proto.Status) bool { return condition(s, proto.ConditionReady).Status == proto.StatusTrue }
	w.awaitStatus("the host to be ready", ready)
	opens := watchOpens(t, w.files.State)
	w.assign(7, pathB)
	w.commit(w.awaitTransaction())
	w.awaitStatus("the commit", func(s proto.Status) bool { return ready(s) && s.Deployment.Phase == proto.PhaseCommitted })
	stop()
	opened, replaced := opens()
	for _, name := range []string{statefile.DeploymentFile, "proven.json", "floors.json"} {
		if most := replaced[name] + 1; replaced[name] == 0 || opened[name] > most {
			t.Errorf("%s was opened %d times, and replaced %d times", name, opened[name], replaced[name])
		}
	}
}

// watchOpens returns a function that counts what was done until then with the files in
// dir, by their names.
func watchOpens(t *testing.T, dir string) func() (opened, replaced map[string]int) {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	// Events that are alike and follow on each other become one: hence those of a close.
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_OPEN|unix.IN_CLOSE_NOWRITE|unix.IN_MOVED_TO); err != nil {
		t.Fatal(err)
	}
	return func() (opened, replaced map[string]int) {
		opened, replaced = map[string]int{}, map[string]int{}
		events := make([]byte, 1<<20)
		for {
			n, err := unix.Read(fd, events)
			if errors.Is(err, unix.EAGAIN) {
				return opened, replaced
			}
			if err != nil {
				t.Fatal(err)
			}
			for rest := events[:n]; len(rest) > 0; {
				mask, size := binary.NativeEndian.Uint32(rest[4:]), binary.NativeEndian.Uint32(rest[12:])
				name := string(bytes.TrimRight(rest[unix.SizeofInotifyEvent:unix.SizeofInotifyEvent+size], "\x00"))
				rest = rest[unix.SizeofInotifyEvent+size:]
				if mask&unix.IN_OPEN != 0 {
					opened[name]++
				}
				if mask&unix.IN_MOVED_TO != 0 {
					replaced[name]++
				}
			}
		}
	}
}
