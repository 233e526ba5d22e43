package natsd_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kedge/proto"
	"kedge/proto/bus"
)

// fillDisk makes the disk full for desired states, of which there must be none
// yet, and for what looks whether it takes data, until free is called. The server
// must not run.
func (w *world) fillDisk(t *testing.T) (free func()) {
	t.Helper()
	store := filepath.Join(w.dir, "nats")
	streams, err := filepath.Glob(filepath.Join(store, "jetstream", "*", "streams", proto.StreamDesired))
	if err != nil || len(streams) != 1 {
		t.Fatalf("streams = %v, %v; want one", streams, err)
	}
	block, probe := filepath.Join(streams[0], "msgs", "1.blk"), filepath.Join(store, "probe")
	if err := errors.Join(os.Remove(block), os.Symlink("/dev/full", block)); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(probe, "in-the-way"), 0o700); err != nil {
		t.Fatal(err)
	}
	return func() {
		for _, path := range []string{block, probe} {
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestAServerWhoseDiskWasFullIsMendedByANewStart(t *testing.T) {
	w := newWorld(t)
	if err := w.server.Healthy(); err != nil {
		t.Fatalf("before anything was stored: %v", err)
	}
	w.fleet(t)
	if err := w.server.Healthy(); err != nil {
		t.Fatal(err)
	}
	put := func(fleet *bus.Fleet, patience time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		_, err := fleet.PutDesired(ctx, hostName(t, "web1"), []byte("x"), 0)
		return err
	}
	const short = time.Second // a full disk gives no answer

	w.server.Shutdown()
	free := w.fillDisk(t)
	w.start(t, "127.0.0.1:0")
	fleet := w.fleet(t)
	if err := w.server.Healthy(); err != nil {
		t.Fatalf("before anything was to be stored: %v", err)
	}
	for range 10 { // a slow one gives none in time
		if err := put(fleet, short); !errors.Is(err, bus.ErrTimeout) {
			t.Fatalf("put on a full disk = %v, want %v", err, bus.ErrTimeout)
		}
		if w.server.Healthy() != nil {
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

// A server removes the files of a stream after it said that it deleted the stream.
func TestAServerThatStillRemovesADeletedStreamIsHealthy(t *testing.T) {
	w := newWorld(t)
	w.fleet(t)
	streams, err := filepath.Glob(filepath.Join(w.dir, "nats", "jetstream", "*", "streams"))
	if err != nil || len(streams) != 1 {
		t.Fatalf("streams = %v, %v; want one directory", streams, err)
	}
	if err := os.Mkdir(filepath.Join(streams[0], "."+proto.StreamEvents), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := w.server.Healthy(); err != nil {
		t.Error(err)
	}
	if err := os.Mkdir(filepath.Join(streams[0], "unknown"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := w.server.Healthy(); err == nil {
		t.Error("a stream that is not there was not missed")
	}
}
