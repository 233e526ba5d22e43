package replica

import (
	"bytes"
	"crypto/rand"
	"log/slog"
	"os"
	"testing"

	"kedge/controller/internal/natstest"
	"kedge/proto/bus"
)

// realBus returns NATS as it is set up by default, and as a controller sees it.
func realBus(t *testing.T) *bus.Fleet {
	t.Helper()
	s, err := natstest.Start(natstest.Open(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { natstest.Stop(s) })
	c, err := natstest.Connect(t.Context(), s.ClientURL(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	f := bus.NewFleet(c, slog.New(slog.DiscardHandler))
	if err := f.EnsureAssets(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestARealServerTakesWhatFits: as much as may be sealed, and nothing of it can be packed.
func TestARealServerTakesWhatFits(t *testing.T) {
	s, err := Open(Options{Bus: realBus(t), Dir: t.TempDir(), Parts: []string{"operators.json"}, Key: make([]byte, keySize), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	write := func(size int) {
		noise := make([]byte, size)
		_, _ = rand.Read(noise)
		if err := os.WriteFile(s.path("operators.json"), noise, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(maxSealed - 1<<10)
	if err := s.Lead(t.Context(), 0, always); err != nil {
		t.Error(err)
	}
	for i := range 3 { // each place is written twice
		write(2*maxSealed + i)
		if err := s.Copy(s.path("operators.json")); err != nil {
			t.Error(err)
		}
	}
	other, err := Open(Options{Bus: s.o.Bus, Dir: t.TempDir(), Parts: s.o.Parts, Key: s.o.Key, Log: s.o.Log})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	if same, err := other.isSame(t.Context()); err != nil || !same || other.marks.last.time.IsZero() {
		t.Errorf("it is the stream that was read: %t, %v; up to %v", same, err, other.marks.last)
	}
	want, err := os.ReadFile(s.path("operators.json"))
	if got, readErr := os.ReadFile(other.path("operators.json")); err != nil || readErr != nil || !bytes.Equal(got, want) {
		t.Errorf("who follows has %d bytes, want %d: %v, %v", len(got), len(want), err, readErr)
	}
}
