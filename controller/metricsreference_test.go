package controller_test

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"kedge/controller"
	"kedge/controller/internal/notify"
	"kedge/internal/manual"
)

var update = flag.Bool("update", false, "write the reference anew")

// TestTheReferenceHasEveryMetric: docs/reference is what the controller shows.
func TestTheReferenceHasEveryMetric(t *testing.T) {
	c := start(t, func(c *controller.Config) {
		c.Notifications = map[string]controller.NotificationConfig{"chat": {URL: "https://chat.example", Format: notify.JSON}}
	})
	got, err := manual.Metrics("kedge-controller", "kedge_controller_", c.Registry)
	if err != nil {
		t.Fatal(err)
	}
	const file = "../docs/reference/metrics-controller.md"
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what the controller shows (%v); run `make manual`", file, err)
	}
}
