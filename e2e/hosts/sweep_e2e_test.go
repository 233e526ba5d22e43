//go:build e2e

package hosts_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"kedge/e2e/hosts"
)

// childFleet is set in the environment of a copy of this test that is to be killed.
const childFleet = "KEDGE_E2E_CHILD_FLEET"

// childOutlive is set there if the child's machines shall outlive it.
const childOutlive = "KEDGE_E2E_CHILD_OUTLIVE"

func TestMain(m *testing.M) {
	if os.Getenv(childCheck) != "" {
		if err := hosts.Check(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if fleet := os.Getenv(childFleet); fleet != "" {
		fmt.Fprintln(os.Stderr, beChild(context.Background(), fleet))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// beChild is the process that TestSweep kills. It returns if it fails, or when its standard input ends: with the test.
func beChild(ctx context.Context, fleet string) error {
	dir, err := hosts.Prepare(ctx, func(string) {})
	if err != nil {
		return err
	}
	n, err := hosts.New(ctx, hosts.NetworkOptions{
		Fleet: fleet, Rootfs: dir, Log: slog.New(slog.DiscardHandler), Outlive: os.Getenv(childOutlive) != "",
	})
	if err != nil {
		return err
	}
	m, err := n.Machine(ctx, hosts.Options{Name: "web1"})
	if err == nil {
		err = m.PowerOn(ctx)
	}
	if err == nil {
		err = m.AwaitBoot(ctx)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "leader %d\n", m.LeaderPID())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// startChild runs beChild with env in a process of its own, until its machine has booted, and returns the process and
// the machine's leader.
func startChild(t *testing.T, env ...string) (child *exec.Cmd, leader string) {
	t.Helper()
	child = exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), env...)
	child.Stderr = t.Output()
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() }) // and with this process, however it ends
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if pid, ok := strings.CutPrefix(lines.Text(), "leader "); ok {
			return child, pid
		}
	}
	t.Fatalf("the child booted no machine: %v", child.Wait())
	return nil, ""
}

func TestSweep(t *testing.T) {
	const fleet = testFleets + "killed"
	child, leader := startChild(t, childFleet+"="+fleet)
	swept, err := hosts.Sweep(t.Context(), fleet)
	if err != nil || len(swept) != 0 {
		t.Errorf("Sweep while the child lives = %v, %v, want nothing swept", swept, err)
	}
	if _, err := hosts.New(t.Context(), hosts.NetworkOptions{Fleet: fleet}); !errors.Is(err, hosts.ErrInUse) {
		t.Errorf("New with the fleet of a living process = %v, want ErrInUse", err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // killed
	awaitGone(t, "/proc/"+leader)
	mustSweep(t, fleet)
}

func TestSweepOfMachinesThatOutlive(t *testing.T) {
	const fleet = testFleets + "outlive"
	child, leader := startChild(t, childFleet+"="+fleet, childOutlive+"=1")
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // killed
	out, err := exec.CommandContext(t.Context(), "nsenter", "--target="+leader, "--all", "systemctl", "is-system-running").Output()
	if err != nil || string(out) != "running\n" {
		t.Errorf("the machine that shall outlive its process is %q, %v, want it running", out, err)
	}
	mustSweep(t, fleet)
	awaitGone(t, "/proc/"+leader)
}

func mustSweep(t *testing.T, fleet string) {
	t.Helper()
	swept, err := hosts.Sweep(t.Context(), fleet)
	if err != nil || !slices.Equal(swept, []string{fleet}) {
		t.Errorf("Sweep = %v, %v, want %s swept", swept, err, fleet)
	}
	checkNothingLeft(t, fleet)
}

// awaitGone waits until path does not exist: until the kernel has ended the process whose parent was killed.
func awaitGone(t *testing.T, path string) {
	t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	deadline := time.After(10 * time.Second)
	for {
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return
		}
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("%s is still there", path)
		}
	}
}
