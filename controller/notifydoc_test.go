package controller

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"kedge/controller/internal/notify"
	"kedge/internal/setup"
)

// TestTheDocumentationOfNotificationsIsTrue: its example is a configuration, and it has every event and every format.
func TestTheDocumentationOfNotificationsIsTrue(t *testing.T) {
	b, err := os.ReadFile("../docs/notifications.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	example := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(text)
	file := filepath.Join(t.TempDir(), "controller.yaml")
	rest := "sources: {main: {url: /srv/fleet.git}}\nnats: {advertise: [\"wss://build.example/nats\"]}\ncache: {urls: [\"https://build.example/cache/\"]}\n"
	if err := os.WriteFile(file, []byte(example[1]+rest), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := setup.Load(setup.Source[Config]{File: file, Default: DefaultConfig()})
	if err != nil || len(c.Notifications) != 3 || c.Notifications["program"].Format != notify.JSON {
		t.Errorf("the example is %+v, %v", c.Notifications, err)
	}
	_, after, _ := strings.Cut(text, "\n## Events\n")
	table, _, _ := strings.Cut(after, "\n## ")
	var events []notify.Event
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(table, -1) {
		events = append(events, notify.Event(m[1]))
	}
	if !slices.Equal(events, notify.Events()) {
		t.Errorf("the page has the events %q, want %q", events, notify.Events())
	}
	for _, f := range notify.Formats() {
		if !strings.Contains(text, "**`"+string(f)+"`**") {
			t.Errorf("the page says nothing of the format %s", f)
		}
	}
}
