package controller_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kedge/controller"
	"kedge/controller/controllertest"
	"kedge/controller/internal/notify"
	"kedge/internal/durable"
	"kedge/proto"
)

func TestNotificationProblems(t *testing.T) {
	c := controllertest.Config(t.TempDir())
	c.Notifications = map[string]controller.NotificationConfig{
		"good":     {URLFile: "/run/secrets/chat", Format: notify.Slack, Events: []notify.Event{notify.RolledBack}},
		"local":    {URL: "http://127.0.0.1:8080/x", Format: notify.JSON, SecretFile: "/run/secrets/key"},
		"nowhere":  {Format: notify.JSON},
		"twice":    {URL: "https://a.example/x", URLFile: "/x", Format: notify.JSON},
		"plain":    {URL: "http://chat.example/secret-path", Format: notify.JSON},
		"relative": {URLFile: "chat", Format: notify.JSON},
		"odd":      {URL: "https://a.example", Format: "xml"},
		"unsigned": {URL: "https://a.example", Format: notify.Ntfy, SecretFile: "/run/secrets/key"},
		"unheard":  {URL: "https://a.example", Format: notify.JSON, Events: []notify.Event{"breakfast"}},
	}
	err := c.Validate()
	if err == nil {
		t.Fatal("nothing is wrong")
	}
	for _, want := range []string{
		"notifications.nowhere.url: must be set, or else notifications.nowhere.url_file", "notifications.twice.url: must be set, or else",
		"notifications.plain.url: must begin with https://", "notifications.relative.url_file: must be an absolute path",
		`notifications.odd.format: must be one of json, slack, ntfy, got "xml"`, "notifications.unsigned.secret_file: must be empty",
		`notifications.unheard.events[0]: must be one of rollout-halted,`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not say %q", err, want)
		}
	}
	for _, not := range []string{"good", "local", "secret-path"} {
		if strings.Contains(err.Error(), not) {
			t.Errorf("%v\nsays %q", err, not)
		}
	}
}

// TestSomebodyIsToldThatAHostWentBack: a real controller, a host, and a chat.
func TestSomebodyIsToldThatAHostWentBack(t *testing.T) {
	said := make(chan string, 16)
	chat := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		text := make([]byte, 64<<10)
		n, _ := r.Body.Read(text) // a short one comes at once
		said <- string(text[:n])
	}))
	t.Cleanup(chat.Close)
	to := func(c *controller.Config) {
		type told struct { // who is new is told nothing that is so already
			Told map[string][]string `json:"told"`
		}
		before := durable.Document[told]{Path: filepath.Join(c.StateDir, "notified.json"), Format: 1}
		if err := errors.Join(os.MkdirAll(c.StateDir, 0o700), before.Write(told{map[string][]string{"chat": {}}})); err != nil {
			t.Error(err)
		}
		c.Notifications = map[string]controller.NotificationConfig{"chat": {URL: chat.URL, Format: notify.Slack, Events: []notify.Event{notify.RolledBack, notify.RolloutHalted}}}
	}
	c := start(t, to)
	c.agent(t, "web1", proto.PhaseRolledBack)
	c.await(t, "the host to be heard of", func(r proto.FleetReply) bool { return len(r.Hosts) == 1 && !r.Hosts[0].Seen.IsZero() })
	c.world.Push(controllertest.Flake{Toplevels: map[proto.HostName]proto.StorePath{hostName(t, "web1"): toplevel(t, "one")}, Kedge: `{"rollout": {"budget": {"failed": 0}}}`})
	c.await(t, "the revision", wants(hostName(t, "web1"), 1, toplevel(t, "one")))
	c.awaitRollout(t, "the rollout to halt", func(r proto.RolloutShowReply) bool { return r.Rollout.State == proto.RolloutHalted })
	seen := ""
	for !strings.Contains(seen, "web1 went back to the system that worked") || !strings.Contains(seen, "the rollout of channel main halted itself") {
		select {
		case text := <-said:
			seen += text
		case <-time.After(time.Minute):
			t.Fatalf("nobody was told within a minute but %q", seen)
		}
	}
}
