//go:build e2e

package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"kedge/e2e/fleet"
	"kedge/proto"
)

// A receipt is what the agent leaves when it has read its desired state.
type receipt struct {
	InvocationID string       `json:"invocation_id"`
	Version      string       `json:"version"`
	Serial       proto.Serial `json:"serial"`
	Accepted     bool         `json:"accepted"`
	At           time.Time    `json:"at"`
}

// awaitContact waits until the agent that runs now has read, and accepted, the
// desired state of that serial.
func awaitContact(t *testing.T, h *fleet.Host, serial proto.Serial) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := awaitReceipt(ctx, h, func(r receipt) bool { return r.Accepted && r.Serial == serial }); err != nil {
		t.Fatalf("contact for serial %s: %v", serial, err)
	}
}

// awaitReceipt waits until the receipt is of the agent that runs now, and ok.
func awaitReceipt(ctx context.Context, h *fleet.Host, ok func(receipt) bool) error {
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for {
		var r receipt
		b, err := h.ReadFile("/run/kedge/contact.json")
		if err == nil {
			err = json.Unmarshal(b, &r)
		}
		runs, failed := h.Run(ctx, "systemctl", "show", "--value", "--property=InvocationID", "kedge-agent.service")
		err = errors.Join(err, failed)
		if err == nil && r.InvocationID == strings.TrimSpace(runs) && ok(r) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w; receipt %+v (%w), the agent is %s", h.Name(), context.Cause(ctx), r, err, runs)
		}
	}
}
