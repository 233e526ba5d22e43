package agent

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"kedge/agent/internal/deployment"
	"kedge/internal/setup"
)

func TestPolicyConfig(t *testing.T) {
	c, err := loadConfig(t, `
policy: {normal: boot, reboot_needed: reboot, confirm_after: 2m}
reboot: {windows: ["Sat,Sun 02:00-04:00 Europe/Berlin", "12:00-13:00"], lease: true, timeout: 5m, require_protection: true, last_resort: true}
`)
	if err != nil {
		t.Fatal(err)
	}
	if want := (PolicyConfig{Normal: deployment.WayBoot, RebootNeeded: deployment.WayReboot, Inhibited: deployment.WayHold, ConfirmAfter: 2 * time.Minute}); c.Policy != want {
		t.Errorf("policy %+v, want %+v", c.Policy, want)
	}
	if want := (deployment.Boots{Timeout: 5 * time.Minute, Protected: true, LastResort: true}); c.Reboot.boots() != want {
		t.Errorf("boots %+v, want %+v", c.Reboot.boots(), want)
	}
	noon := time.Date(2026, 11, 26, 12, 30, 0, 0, time.UTC)
	if got := c.Reboot.opens(noon); !got.Equal(noon) {
		t.Errorf("in a window it may reboot at %s", got)
	}
	if got, want := c.Reboot.opens(noon.Add(time.Hour)), noon.Add(23*time.Hour+30*time.Minute); !got.Equal(want) {
		t.Errorf("after it, it may reboot at %s, want %s", got, want)
	}
	if got := DefaultConfig().Reboot.opens(noon); !got.Equal(noon) {
		t.Errorf("without a window it may reboot at %s", got)
	}
}

func TestPolicyConfigTellsEveryProblem(t *testing.T) {
	if _, err := loadConfig(t, `reboot: {windows: ["Sat 25:00-26:00"]}`); err == nil || !strings.Contains(err.Error(), "reboot.windows") {
		t.Errorf("got %v, want a problem of reboot.windows", err)
	}
	_, err := loadConfig(t, "policy: {normal: test, reboot_needed: never, inhibited: switch, confirm_after: 2ms}\nreboot: {timeout: 1ms}\nfetch: {timeout: 30ms}\n")
	invalid, ok := errors.AsType[*setup.ConfigError](err)
	if !ok || len(invalid.Problems) != 6 {
		t.Fatalf("got %v, want 6 problems", err)
	}
	for _, want := range []string{
		`policy.normal: must be one of boot, reboot, hold, switch, got "test"`, `policy.reboot_needed`,
		`policy.inhibited: must be one of boot, reboot, hold, got "switch"`, "reboot.timeout", "fetch.timeout", "policy.confirm_after: must be at least",
	} {
		if !slices.ContainsFunc(invalid.Problems, func(p error) bool { return strings.Contains(p.Error(), want) }) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
