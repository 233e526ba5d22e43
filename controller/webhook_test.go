package controller_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kedge/controller"
	"kedge/controller/internal/hook"
	"kedge/proto"
	"kedge/proto/bus"
)

// TestAWebhookIsAPushThatIsSeenAtOnce: with nobody else to tell, and with polls an
// hour apart.
func TestAWebhookIsAPushThatIsSeenAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := start(t, func(c *controller.Config) {
		main := c.Sources["main"]
		main.Webhook = controller.WebhookConfig{Kind: hook.GitLab, SecretFile: file}
		c.Sources["main"] = main
	})
	post := func(token string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+c.HTTPAddress()+"/hook/main", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Gitlab-Token", token)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer http.DefaultClient.CloseIdleConnections()
		if err := resp.Body.Close(); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode
	}
	web1, one, two := hostName(t, "web1"), toplevel(t, "one"), toplevel(t, "two")
	c.world.Push(flake(map[proto.HostName]proto.StorePath{web1: one}))
	c.await(t, "the first revision", wants(web1, 1, one))
	c.world.Push(flake(map[proto.HostName]proto.StorePath{web1: two}))
	if got := post("forged"); got != http.StatusUnauthorized {
		t.Errorf("a forged webhook: status %d, want 401", got)
	}
	if got := post("0123456789abcdef"); got != http.StatusAccepted {
		t.Errorf("the forge's webhook: status %d, want 202", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for after, seen := uint64(0), false; !seen; {
		r, err := bus.Call[proto.FleetRequest, proto.FleetReply](ctx, c.conn, proto.EndpointFleet, proto.FleetRequest{After: after, Wait: proto.MaxWait})
		if err != nil {
			t.Fatalf("await the push: %v", err)
		}
		after, seen = r.Version, wants(web1, 2, two)(r)
	}
	if err := os.WriteFile(file, []byte("fedcba9876543210\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]int{"0123456789abcdef": http.StatusUnauthorized, "fedcba9876543210": http.StatusAccepted} {
		if got := post(token); got != want {
			t.Errorf("once there is another secret, with %s: status %d, want %d", token, got, want)
		}
	}
}
