package natsd_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kedge/proto"
	"kedge/proto/bus"
)

// fileLimit is how long files may get on a disk that is full for the test.
const fileLimit = 64 << 10

// fillDisk makes every write beyond the limit fail until the function that it
// returns is called, which may be done twice.
func fillDisk(t *testing.T) (free func()) {
	t.Helper()
	signal.Ignore(unix.SIGXFSZ) // so that the write fails, not the process
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	full := unix.Rlimit{Cur: fileLimit, Max: before.Max}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &full); err != nil {
		t.Fatal(err)
	}
	free = func() {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() {
		free()
		signal.Reset(unix.SIGXFSZ)
	})
	return free
}

func TestAServerWhoseDiskWasFullIsMendedByANewStart(t *testing.T) {
	w := newWorld(t)
	if err := w.server.Healthy(); err != nil {
		t.Fatalf("before anything was stored: %v", err)
	}
	fleet := w.fleet(t)
	if err := w.server.Healthy(); err != nil {
		t.Fatal(err)
	}
	const short = time.Second // a full disk gives no answer
	hosts := 0
	put := func(fleet *bus.Fleet, patience time.Duration) error { // for a new host each time
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		hosts++
		_, err := fleet.PutDesired(ctx, hostName(t, fmt.Sprintf("web%d", hosts)), make([]byte, proto.MaxDesired), 0)
		return err
	}

	free := fillDisk(t)
	for range 10 { // the last at the latest does not fit any more
		if put(fleet, short) != nil && w.server.Healthy() != nil {
			break
		}
	}
	if err := w.server.Healthy(); err == nil || !strings.Contains(err.Error(), proto.BucketDesired) {
		t.Errorf("with a full disk: %v, want an error that names the bucket", err)
	}
	if w.server.Mendable() {
		t.Error("a new start is said to help while the disk is full")
	}

	free()
	if err := put(fleet, short); !errors.Is(err, bus.ErrTimeout) {
		t.Errorf("put after the disk had room = %v: the server mends itself, and a new start is not needed", err)
	}
	if err := w.server.Healthy(); err == nil {
		t.Error("a server that stores nothing is healthy")
	}
	if !w.server.Mendable() {
		t.Error("a new start is said not to help")
	}
	w.server.Shutdown()
	w.start(t, "127.0.0.1:0")
	fleet = w.fleet(t)
	if err := w.server.Healthy(); err != nil {
		t.Error(err)
	}
	if err := put(fleet, patience); err != nil {
		t.Errorf("put after a new start: %v", err)
	}
}

func TestAServerThatDoesNotStartWholeIsNotStartedAgain(t *testing.T) {
	w := newWorld(t)
	w.fleet(t)
	w.server.Shutdown()
	files, err := filepath.Glob(filepath.Join(w.dir, "nats", "jetstream", "*", "streams", proto.StreamDesired, "meta.inf"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files = %v, %v; want one", files, err)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	w.start(t, "127.0.0.1:0")
	if err := w.server.Healthy(); err == nil {
		t.Error("a server without one of its streams is healthy")
	}
	if w.server.Mendable() {
		t.Error("a new start is said to help; the last one did not")
	}
}
