//go:build e2e

package toplevel_test

import (
	"strings"
	"testing"
)

// TestInterrupted has a switch end in the middle of its activation, and the next one repair it.
func TestInterrupted(t *testing.T) {
	b := newBench(t, "cut")

	t.Run("a second run finds the lock taken", func(t *testing.T) {
		ctx := b.reset(t)
		first := b.start(ctx, "naps", "test")
		b.await(ctx, "/run/napping")
		if code, said := b.activate(ctx, "old", "test", ""); code != 11 || !strings.Contains(said, "Could not acquire lock") {
			t.Errorf("exit code %d, want 11 (EAGAIN):\n%s", code, said)
		}
		if err := <-first; err != nil {
			t.Errorf("the first run: %v", err)
		}
	})

	t.Run("killed alone", func(t *testing.T) {
		ctx := b.reset(t)
		first := b.start(ctx, "naps", "test")
		b.await(ctx, "/run/napping")
		b.must(ctx, "sh", "-c", `kill -9 $(cat /run/stc.pid)`)
		if err := <-first; err == nil {
			t.Error("the killed run ended well")
		}
		if b.isActive(ctx, "app.service") {
			t.Error("app.service is active, want it down until somebody starts it")
		}
		if list := b.must(ctx, "cat", "/run/nixos/start-list"); !strings.Contains(list, "app.service\n") {
			t.Errorf("start-list = %q, want app.service in it", list)
		}
		if code, said := b.activate(ctx, "old", "test", ""); code != 0 || !strings.Contains(said, "starting the following units: app.service") {
			t.Errorf("the next run: exit code %d:\n%s", code, said)
		}
		b.check(ctx, t, state{Current: "old", Boot: "old", App: "old"})
	})

	t.Run("nobody reads its output from the start", func(t *testing.T) {
		ctx := b.reset(t)
		b.must(ctx, "bash", "-c", b.toplevels["new"]+`/bin/switch-to-configuration test 2>&1 | true; echo ${PIPESTATUS[0]} > /run/code`)
		if code := b.must(ctx, "cat", "/run/code"); code != "101\n" {
			t.Errorf("exit code %s, want 101", code)
		}
		b.check(ctx, t, state{Current: "old", Boot: "old", App: "old"})
	})

	t.Run("its reader leaves during the activation", func(t *testing.T) {
		ctx := b.reset(t)
		b.must(ctx, "bash", "-c", b.toplevels["naps"]+
			`/bin/switch-to-configuration test 2>&1 | while read -r line; do case $line in activating*) break;; esac; done; echo ${PIPESTATUS[0]} > /run/code`)
		if code := b.must(ctx, "cat", "/run/code"); code != "101\n" {
			t.Errorf("exit code %s, want 101", code)
		}
		b.check(ctx, t, state{Current: "naps", Boot: "old", App: ""})
		if code, said := b.activate(ctx, "naps", "test", ""); code != 0 {
			t.Errorf("the next run: exit code %d:\n%s", code, said)
		}
		b.check(ctx, t, state{Current: "naps", Boot: "old", App: "new"})
	})

	t.Run("power cut during the activation of a switch boots the new system", func(t *testing.T) {
		ctx := b.reset(t)
		b.setProfile(ctx, "naps")
		first := b.start(ctx, "naps", "switch")
		b.await(ctx, "/run/napping")
		b.powerCycle(ctx)
		<-first
		b.check(ctx, t, state{Current: "naps", Boot: "naps", App: "new"})
	})

	t.Run("power cut during the activation of a test boots the old system", func(t *testing.T) {
		ctx := b.reset(t)
		first := b.start(ctx, "naps", "test")
		b.await(ctx, "/run/napping")
		b.powerCycle(ctx)
		<-first
		b.check(ctx, t, state{Current: "old", Boot: "old", App: "old"})
	})
}
