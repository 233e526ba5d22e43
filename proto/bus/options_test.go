package bus

import (
	"log/slog"
	"strings"
	"testing"
)

func TestConnectNamesEverythingThatIsWrong(t *testing.T) {
	_, err := Connect(t.Context(), Options{Servers: []string{"http://x", "nats://", "nats://user:secret@:4222", "%", "nats://user:secret@%"}})
	if err == nil {
		t.Fatal("connected")
	}
	for _, want := range []string{"http://x: must begin with", "nats:: names no host", "not a URL", "name is required", "credentials:", "log is required"} {
		if !strings.Contains(strings.ReplaceAll(err.Error(), "nats://:", "nats::"), want) {
			t.Errorf("got %q, want it to say %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the error holds a password: %v", err)
	}
	if _, err := Connect(t.Context(), Options{Name: "x", Credentials: "x", Log: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), "at least one URL") {
		t.Errorf("got %v", err)
	}
}
