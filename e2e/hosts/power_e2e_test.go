//go:build e2e

package hosts_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"kedge/e2e/hosts"
	"kedge/e2e/internal/command"
)

func bootID(t *testing.T, m *hosts.Machine) string {
	t.Helper()
	return mustRun(t, m, "cat", "/proc/sys/kernel/random/boot_id")
}

func TestPower(t *testing.T) {
	n := newNetwork(t, "power")
	m := mustMachine(t, n, hosts.Options{Name: "web1"})
	if m.Running() {
		t.Error("a new machine is running, want it off")
	}
	if _, err := m.Run(t.Context(), "true"); !errors.Is(err, hosts.ErrOff) {
		t.Errorf("Run on a machine that is off = %v, want ErrOff", err)
	}
	if err := m.AwaitBoot(t.Context()); !errors.Is(err, hosts.ErrOff) {
		t.Errorf("AwaitBoot of a machine that is off = %v, want ErrOff", err)
	}
	if out, err := m.RunOffline(t.Context(), "cat", "/etc/hostname"); err != nil || out != "web1\n" {
		t.Errorf("RunOffline = %q, %v, want the host's name", out, err)
	}
	mustBoot(t, m)
	if err := m.PowerOn(t.Context()); !errors.Is(err, hosts.ErrOn) {
		t.Errorf("PowerOn of a running machine = %v, want ErrOn", err)
	}
	if _, err := m.RunOffline(t.Context(), "true"); !errors.Is(err, hosts.ErrOn) {
		t.Errorf("RunOffline on a running machine = %v, want ErrOn", err)
	}
	first, machineID := bootID(t, m), mustRun(t, m, "cat", "/etc/machine-id")
	ids := []string{first}

	t.Run("a cut ends everything and keeps the disk", func(t *testing.T) {
		if err := m.WriteFile("/var/lib/kept", []byte("kept"), 0o644); err != nil {
			t.Fatal(err)
		}
		running := make(chan error, 1)
		go func() {
			_, err := m.Run(t.Context(), "sleep", "1000")
			running <- err
		}()
		started := time.Now()
		if err := m.PowerCut(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Logf("the power was gone after %v", time.Since(started).Round(time.Millisecond))
		if err := <-running; err == nil {
			t.Error("a program that ran on the host ended well, want it killed")
		}
		if m.Running() || m.LeaderPID() != 0 {
			t.Error("the machine is running after its power was cut")
		}
		if got, err := m.ReadFile("/var/lib/kept"); err != nil || string(got) != "kept" {
			t.Errorf("on the disk without power: %q, %v", got, err)
		}
		mustBoot(t, m)
		if got := mustRun(t, m, "cat", "/var/lib/kept"); got != "kept" {
			t.Errorf("after the next boot: %q, want it kept", got)
		}
		ids = append(ids, bootID(t, m))
	})
	t.Run("a reboot from inside comes up again", func(t *testing.T) {
		boots := m.Boots()
		address := mustRun(t, m, "ip", "-brief", "link", "show", "eth0")
		// What a boot configures by hand, the next one does not have.
		mustRun(t, m, "ip", "address", "add", "192.0.2.1/32", "dev", "lo")
		if _, err := m.Run(t.Context(), "systemctl", "reboot"); err != nil {
			if failure, ok := errors.AsType[*command.Error](err); !ok || failure.Code > 0 {
				t.Fatal(err)
			} // else the host was gone before systemctl could end
		}
		ctx, cancel := context.WithTimeout(t.Context(), bootTimeout)
		defer cancel()
		if err := m.AwaitBootAfter(ctx, boots); err != nil {
			t.Fatal(err)
		}
		if got := mustRun(t, m, "ip", "-brief", "address"); strings.Contains(got, "192.0.2.1") {
			t.Errorf("the network of the boot before is still there:\n%s", got)
		}
		// Neighbours remember who had its IP address.
		if got, want := strings.Fields(mustRun(t, m, "ip", "-brief", "link", "show", "eth0"))[2], strings.Fields(address)[2]; got != want {
			t.Errorf("its network device had the address %s, and has %s", want, got)
		}
		ids = append(ids, bootID(t, m))
	})
	t.Run("a reboot from outside comes up again", func(t *testing.T) {
		started := time.Now()
		if err := m.Reboot(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Logf("rebooted in %v", time.Since(started).Round(time.Millisecond))
		ids = append(ids, bootID(t, m))
	})
	t.Run("powering off is clean", func(t *testing.T) {
		started := time.Now()
		if err := m.PowerOff(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Logf("powered off in %v", time.Since(started).Round(time.Millisecond))
		if err := m.PowerOff(t.Context()); err != nil {
			t.Errorf("PowerOff of a machine that is off = %v", err)
		}
		mustBoot(t, m)
		if log := mustRun(t, m, "journalctl", "--boot=-1", "--no-pager", "--lines=20", "--output=cat"); !strings.Contains(log, "Shutting down") && !strings.Contains(log, "Journal stopped") {
			t.Errorf("the journal of the boot before does not end with a shutdown:\n%s", log)
		}
		ids = append(ids, bootID(t, m))
	})
	t.Run("the boot default decides what is started", func(t *testing.T) {
		if err := m.PowerCut(t.Context()); err != nil {
			t.Fatal(err)
		}
		script := "#!/bin/sh\necho activated >/run/activated\nexec /usr/lib/systemd/systemd\n"
		if err := m.WriteFile("/nix/store/test-system/init", []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := m.WriteFile("/boot/loader/default", []byte("/nix/store/test-system\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		mustBoot(t, m)
		if got := mustRun(t, m, "cat", "/run/activated"); got != "activated" {
			t.Errorf("the init of the boot default left %q", got)
		}
		ids = append(ids, bootID(t, m))
		if err := m.WriteFile("/boot/loader/default", []byte("/nix/store/missing-system\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := m.Reboot(t.Context()); !errors.Is(err, hosts.ErrOff) || !strings.Contains(err.Error(), "/nix/store/missing-system has no init") {
			t.Errorf("reboot into a missing system = %v, want ErrOff and the firmware's message", err)
		}
	})

	slices.Sort(ids)
	if distinct := slices.Compact(slices.Clone(ids)); len(distinct) != len(ids) || len(ids) != 6 {
		t.Errorf("boot ids %v, want 6 different ones", ids)
	}
	if got, err := m.ReadFile("/etc/machine-id"); err != nil || strings.TrimSpace(string(got)) != machineID {
		t.Errorf("the machine id changed from %s to %s, %v", machineID, got, err)
	}
}

func TestPowerCutAtAnyMoment(t *testing.T) {
	n := newNetwork(t, "cuts")
	m := mustMachine(t, n, hosts.Options{Name: "web1"})
	for after := time.Duration(0); after <= 600*time.Millisecond; after += 60 * time.Millisecond {
		if err := m.PowerOn(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), after)
		_ = m.AwaitBoot(ctx) // the machine may be as far as that or not
		cancel()
		if err := m.PowerCut(t.Context()); err != nil {
			t.Fatalf("after %v: %v", after, err)
		}
	}
	mustBoot(t, m)
	if got := mustRun(t, m, "systemctl", "is-system-running"); got != "running" {
		t.Errorf("after many cuts the machine is %q, want running", got)
	}
}

func TestPowerCutDuringReboot(t *testing.T) {
	n := newNetwork(t, "reboots")
	m := mustMachine(t, n, hosts.Options{Name: "web1"})
	for after := time.Duration(0); after <= 200*time.Millisecond; after += 25 * time.Millisecond {
		mustBoot(t, m)
		ctx, cancel := context.WithTimeout(t.Context(), after)
		_ = m.Reboot(ctx) // cut short
		cancel()
		if err := m.PowerCut(t.Context()); err != nil {
			t.Fatalf("after %v: %v", after, err)
		}
		if m.Running() {
			t.Fatalf("cut %v after the reboot was asked for, the machine is running", after)
		}
	}
}

func TestFullDisk(t *testing.T) {
	n := newNetwork(t, "full")
	m := mustMachine(t, n, hosts.Options{Name: "web1", DiskBytes: 64 << 20})
	mustBoot(t, m)
	_, err := m.Run(t.Context(), "dd", "if=/dev/zero", "of=/var/lib/big", "bs=1M", "count=100")
	if failure, ok := errors.AsType[*command.Error](err); !ok || !strings.Contains(failure.Stderr, "No space left on device") {
		t.Errorf("writing 100 MiB to a disk of 64 MiB = %v, want no space left", err)
	}
}
