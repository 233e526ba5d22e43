//go:build e2e

package toplevel_test

import (
	"context"
	"strings"
	"testing"
)

const (
	trialUnit = "kedge-trial.service"
	trialLink = "/var/lib/kedge/trial"
	trialCall = "transact --state-dir /var/lib/kedge --runtime-dir /run/kedge\n"
)

// TestTrialUnit has the unit that judges a trial boot run something that only notes its calls in
// /root/calls, fails at the first one, and stays.
func TestTrialUnit(t *testing.T) {
	b := newBench(t, "trial")
	ctx := b.reset(t)
	if b.isActive(ctx, trialUnit) {
		t.Error("it runs without a trial")
	}

	const program = "#!/bin/sh\necho \"$@\" >>/root/calls\n[ -e /root/failed ] || { : >/root/failed; exit 1; }\n: >/run/tried\nexec sleep infinity\n"
	if err := b.m.WriteFile("/root/trial", []byte(program), 0o755); err != nil {
		t.Fatal(err)
	}
	link := func(ctx context.Context) {
		b.must(ctx, "mkdir", "-p", "/var/lib/kedge")
		b.must(ctx, "ln", "-sfn", "/root/trial", trialLink)
		b.must(ctx, "rm", "-f", "/root/calls", "/root/failed")
	}

	t.Run("runs at the next boot, and again after a failure", func(t *testing.T) {
		ctx := b.reset(t)
		link(ctx)
		b.reboot(ctx) // which is complete while it runs
		b.await(ctx, "/run/tried")
		if got := b.must(ctx, "cat", "/root/calls"); got != trialCall+trialCall {
			t.Errorf("called %q, want %q twice", got, trialCall)
		}
	})

	t.Run("the boot is not complete before it is judged", func(t *testing.T) {
		ctx := b.reset(t)
		link(ctx)
		const start = "systemctl start boot-complete.target && echo complete || systemctl is-failed boot-complete.target"
		if got := b.must(ctx, "sh", "-c", start+" || true"); got != "inactive\n" {
			t.Errorf("boot-complete.target: %q, want it inactive", got)
		}
		b.must(ctx, "rm", trialLink)
		if got := b.must(ctx, "sh", "-c", start); got != "complete\n" {
			t.Errorf("after the judgement boot-complete.target: %q", got)
		}
		link(ctx)
	})

	t.Run("is left alone by switches", func(t *testing.T) {
		ctx := b.reset(t)
		before := b.mainPID(ctx)
		for _, system := range []string{"new", "agentless", "old"} {
			if code, said := b.activate(ctx, system, "test", ""); code != 0 {
				t.Fatalf("%s: exit code %d:\n%s", system, code, said)
			}
			if got := b.mainPID(ctx); got != before || before == "0" {
				t.Errorf("after the switch to %s its process is %s, want %s", system, got, before)
			}
		}
	})

	t.Run("runs in emergency mode", func(t *testing.T) {
		ctx := b.reset(t)
		link(ctx)
		b.setProfile(ctx, "nomount")
		if code, said := b.activate(ctx, "nomount", "boot", ""); code != 0 {
			t.Fatalf("boot: exit code %d:\n%s", code, said)
		}
		if err := b.m.PowerCut(ctx); err != nil {
			t.Fatal(err)
		}
		if err := b.m.PowerOn(ctx); err != nil { // this boot is never complete
			t.Fatal(err)
		}
		b.await(ctx, "/run/tried")
		b.must(ctx, "sh", "-c", `while ! systemctl is-active emergency.target; do sleep 0.05; done`)
		if !b.isActive(ctx, trialUnit) {
			t.Error("it does not run")
		}
		if b.isActive(ctx, "multi-user.target") {
			t.Error("this is no emergency")
		}
	})
}

func (b *bench) mainPID(ctx context.Context) string {
	b.t.Helper()
	return strings.TrimSpace(b.must(ctx, "systemctl", "show", "--property=MainPID", "--value", trialUnit))
}
