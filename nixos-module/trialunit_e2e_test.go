//go:build e2e

package nixosmodule_test

import (
	"strings"
	"testing"
)

func testTrialUnit(t *testing.T, e evaluator) {
	elsewhere := options{"settings": options{"state_dir": "/persist/kedge", "runtime_dir": "/run/kedge-test"}}
	got := e.mustEvaluate(t, "agent", agentHost(elsewhere, nil))
	for _, want := range []string{
		"ConditionPathExists=/persist/kedge/trial\n", "RequiresMountsFor=/persist/kedge /nix/store\n",
		"ExecStart=/persist/kedge/trial transact --state-dir /persist/kedge --runtime-dir /run/kedge-test\n",
	} {
		if text := got.Units["kedge-trial"].Text; !strings.Contains(text, want) {
			t.Errorf("kedge-trial has no %q:\n%s", want, text)
		}
	}
	if text := got.Overrides["boot-complete"]; !strings.Contains(text, "AssertPathExists=!/persist/kedge/trial\n") {
		t.Errorf("boot-complete.target: %s", text)
	}
}
