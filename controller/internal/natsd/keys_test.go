package natsd_test

import (
	"log/slog"
	"os"
	"testing"

	"kedge/controller/internal/natsd"
)

func TestTheIdentityOfTheServerIsKept(t *testing.T) {
	dir := t.TempDir()
	first, err := natsd.OpenKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	file := hostFileOf(t, first, "web1")
	w := &world{dir: dir}
	w.start(t, "127.0.0.1:0")
	awaitConnected(t, connect(t, w.server.ClientURL(), "web1", file))
	for path, want := range map[string]os.FileMode{"/keys": 0o700, "/keys/nats.json": 0o600, "/keys/controller.creds": 0o600} {
		if info, err := os.Stat(dir + path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: got %v, %v, want %v", path, info.Mode().Perm(), err, want)
		}
	}
}

func TestTornKeysAreNotReplaced(t *testing.T) {
	dir := t.TempDir()
	if _, err := natsd.OpenKeys(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(dir+"/keys/nats.json", 100); err != nil {
		t.Fatal(err)
	}
	if _, err := natsd.OpenKeys(dir); err == nil {
		t.Error("torn keys were accepted")
	}
	if info, err := os.Stat(dir + "/keys/nats.json"); err != nil || info.Size() != 100 {
		t.Errorf("the torn file was changed: %v, %v", info, err)
	}
}

func TestStartSaysWhyItCannot(t *testing.T) {
	w := newWorld(t)
	for _, listen := range []string{"nonsense", "127.0.0.1:70000", w.address()} {
		s, err := natsd.Start(t.Context(), natsd.Options{StateDir: t.TempDir(), Listen: listen, Log: slog.New(slog.DiscardHandler)})
		if err == nil {
			s.Shutdown()
			t.Errorf("%s: started", listen)
			continue
		}
		t.Log(err)
	}
}
