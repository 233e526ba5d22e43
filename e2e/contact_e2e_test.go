//go:build e2e

package e2e_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"kedge/e2e/fleet"
	"kedge/proto"
)

// A receipt is what the agent leaves when it has read its desired state.
type receipt struct {
	InvocationID string       `json:"invocation_id"`
	Serial       proto.Serial `json:"serial"`
	Accepted     bool         `json:"accepted"`
}

// awaitContact waits until the agent that runs now has read, and accepted, the
// desired state of that serial.
func awaitContact(t *testing.T, h *fleet.Host, serial proto.Serial) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for {
		var r receipt
		b, err := h.ReadFile("/run/kedge/contact.json")
		if err == nil {
			err = json.Unmarshal(b, &r)
		}
		runs := strings.TrimSpace(h.MustRun(t, "systemctl", "show", "--value", "--property=InvocationID", "kedge-agent.service"))
		if err == nil && r.Accepted && r.InvocationID == runs && r.Serial == serial {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: no contact for serial %s: receipt %+v (%v), the agent is %s", h.Name(), serial, r, err, runs)
		}
	}
}
