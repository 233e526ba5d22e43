//go:build e2e

package toplevel_test

import (
	"context"
	"strings"
	"testing"
)

// TestOneShot has the machine's boot loader boot a system once, as systemd-boot does.
func TestOneShot(t *testing.T) {
	b := newBench(t, "once")
	// stage makes "new" a generation and leaves profile and default to "old".
	stage := func(ctx context.Context) (entry string) {
		b.setProfile(ctx, "new")
		generation := strings.TrimSpace(b.must(ctx, "readlink", profile)) // system-2-link
		b.setProfile(ctx, "old")
		if code, said := b.activate(ctx, "old", "boot", ""); code != 0 {
			t.Fatalf("boot: exit code %d:\n%s", code, said)
		}
		return strings.Replace(strings.TrimSuffix(generation, "-link"), "system-", "nixos-generation-", 1) + ".conf"
	}

	t.Run("an entry is booted once", func(t *testing.T) {
		ctx := b.reset(t)
		entry := stage(ctx)
		b.must(ctx, "bootctl", "set-oneshot", entry)
		b.reboot(ctx)
		b.wantBooted(ctx, t, "new")
		b.check(ctx, t, state{Current: "new", Boot: "old", App: "new"})
		b.reboot(ctx)
		b.wantBooted(ctx, t, "old")
	})

	t.Run("power lost in the trial boot boots the default", func(t *testing.T) {
		ctx := b.reset(t)
		b.must(ctx, "bootctl", "set-oneshot", stage(ctx))
		b.powerCycle(ctx)
		b.wantBooted(ctx, t, "new")
		b.powerCycle(ctx)
		b.wantBooted(ctx, t, "old")
	})

	t.Run("it can be taken back, and may be of nothing", func(t *testing.T) {
		ctx := b.reset(t)
		b.must(ctx, "bootctl", "set-oneshot", stage(ctx))
		b.must(ctx, "bootctl", "set-oneshot", "")
		b.must(ctx, "bootctl", "set-oneshot", "")
		b.reboot(ctx)
		b.wantBooted(ctx, t, "old")
		b.must(ctx, "bootctl", "set-oneshot", "nixos-generation-99.conf")
		b.reboot(ctx)
		b.wantBooted(ctx, t, "old")
	})
}

func (b *bench) reboot(ctx context.Context) {
	b.t.Helper()
	if err := b.m.Reboot(ctx); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) wantBooted(ctx context.Context, t *testing.T, want string) {
	t.Helper()
	if got := b.name(b.must(ctx, "readlink", "/run/booted-system")); got != want {
		t.Errorf("booted %s, want %s", got, want)
	}
}
