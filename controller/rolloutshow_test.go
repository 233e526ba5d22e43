package controller

import (
	"slices"
	"strings"
	"testing"

	"kedge/controller/internal/rollout"
	"kedge/proto"
)

// TestACanaryThatWaitsForItselfIsToldOf: who goes after it cannot, until somebody acts.
func TestACanaryThatWaitsForItselfIsToldOf(t *testing.T) {
	w := waitOf(rollout.Running, rollout.HostPlan{Wait: rollout.WaitDeferred, Why: "a (web1)"})
	if w == nil || w.For != proto.ReasonCanaryDeferred || !strings.Contains(w.Message, "wave a (web1) waits for something of its own") || !strings.Contains(w.Message, "hold it") {
		t.Errorf("told: %+v", w)
	}
	if !slices.Contains(waitReasons(), proto.ReasonCanaryDeferred) {
		t.Error("there is no metric of it")
	}
}
