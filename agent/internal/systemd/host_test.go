//go:build host

package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// These tests run against the systemd that is PID 1 where they are started,
// which must be a test host: they make, fail and remove units.

func TestRealTroubledUnits(t *testing.T) {
	ctx, c, begin := t.Context(), realClient(t), time.Now()
	writeService(t, "kedge-test-fails.service", "ExecStart=/bin/false")
	writeService(t, "kedge-test-flaps.service", "ExecStart=/bin/sh -c 'exit 3'\nRestart=always\nRestartSec=300ms\nStartLimitIntervalSec=0")
	writeService(t, "kedge-test-ends.service", "ExecStart=/bin/sh -c '[ -e /run/kedge-test-ended ] && exec sleep infinity; touch /run/kedge-test-ended; exit 3'\n"+
		"ExecStop=/bin/sleep infinity\nRestart=always\nTimeoutStopSec=60")
	writeService(t, "kedge-test-runs.service", "ExecStart=/bin/sleep infinity")
	t.Cleanup(func() {
		_ = os.Remove("/run/kedge-test-ended")                           // it may not be there
		systemctl(t, "kill", "--signal=KILL", "kedge-test-ends.service") // it would take its time
	})
	for _, name := range []string{"kedge-test-runs.service", "kedge-test-fails.service", "kedge-test-flaps.service", "kedge-test-ends.service"} {
		if err := c.StartUnit(ctx, name); err != nil {
			t.Fatal(err) // Type=simple: the start itself succeeds
		}
	}
	await(t, c, "kedge-test-fails.service", func(u Unit) bool { return u.ActiveState == Failed })
	flapped := func() (bool, error) {
		u, _ := troubled(t, c).Find("kedge-test-flaps.service")
		return u.NRestarts >= 2 && u.AutoRestarting(), nil
	}
	if err := poll(ctx, flapped); err != nil {
		t.Fatal(err)
	}
	await(t, c, "kedge-test-ends.service", func(u Unit) bool { return u.SubState == running })
	systemctl(t, "stop", "--no-block", "kedge-test-ends.service")
	await(t, c, "kedge-test-ends.service", func(u Unit) bool { return u.ActiveState == Deactivating })

	start := time.Now()
	units := troubled(t, c)
	t.Logf("it took %v to find %d units", time.Since(start), len(units))
	if !slices.IsSortedFunc(units, func(a, b Unit) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("units are not sorted")
	}
	if u, ok := units.Find("kedge-test-fails.service"); !ok || u.ActiveState != Failed || u.Result != "exit-code" || u.ExecMainStatus != 1 ||
		u.Transient || u.Began.Before(begin) || u.Began.After(start) {
		t.Errorf("failing service: %+v", u)
	}
	for name, restarts := range map[string]uint32{"kedge-test-flaps.service": 2, "kedge-test-ends.service": 1} {
		if u, ok := units.Find(name); !ok || u.NRestarts < restarts || u.Result == "" {
			t.Errorf("restarted service: %+v", u)
		}
	}
	if u, ok := units.Find("kedge-test-runs.service"); ok {
		t.Errorf("running service: %+v", u)
	}

	for _, restarting := range [][]string{nil, {"kedge-test-ends.service", "kedge-test-runs.service"}} {
		units, err := c.Failing(ctx, restarting...)
		if err != nil {
			t.Fatal(err)
		}
		if u, ok := units.Find("kedge-test-fails.service"); !ok || u.Result != "exit-code" {
			t.Errorf("failing service: %+v", u)
		}
		if u, ok := units.Find("kedge-test-ends.service"); ok != (restarting != nil) || ok && u.NRestarts != 1 {
			t.Errorf("with %v: service that was restarted: %+v", restarting, u)
		}
		if u, ok := units.Find("kedge-test-runs.service"); ok {
			t.Errorf("with %v: running service: %+v", restarting, u)
		}
	}
}

func TestRealHostDoesNotGoDown(t *testing.T) {
	if down, err := realClient(t).GoingDown(t.Context()); err != nil || down {
		t.Errorf("GoingDown = %t, %v, want false", down, err)
	}
}

func TestRealUnit(t *testing.T) {
	ctx, c := t.Context(), realClient(t)
	u, err := c.Unit(ctx, "kedge-test-none.service")
	if err != nil || u.Loaded() || u.ActiveState != Inactive {
		t.Errorf("missing unit: got %+v, %v", u, err)
	}
	if u, err := c.Unit(ctx, "-.mount"); err != nil || !u.Loaded() || u.ActiveState != Active {
		t.Errorf("root mount: got %+v, %v", u, err)
	}
}

func TestRealJobs(t *testing.T) {
	ctx, c := t.Context(), realClient(t)
	const name = "kedge-test-job.service"
	writeService(t, name, "Type=notify\nNotifyAccess=all\nExecStart=/bin/sh -c 'sleep 0.3; systemd-notify --ready; sleep infinity'")
	if err := c.StartUnit(ctx, name); err != nil {
		t.Fatal(err)
	}
	before := unit(t, c, name)
	if before.ActiveState != Active || len(before.InvocationID) != 32 {
		t.Errorf("after start: %+v", before)
	}
	start := time.Now()
	if err := c.RestartUnit(ctx, name); err != nil {
		t.Fatal(err)
	}
	t.Logf("restart took %v, 300 ms of it the service's own", time.Since(start))
	if after := unit(t, c, name); after.ActiveState != Active || after.InvocationID == before.InvocationID {
		t.Errorf("after restart: %+v, before %+v", after, before)
	}
	if err := c.StopUnit(ctx, name); err != nil {
		t.Fatal(err)
	}
	if u := unit(t, c, name); u.ActiveState != Inactive {
		t.Errorf("after stop: %+v", u)
	}

	writeService(t, name, "Type=oneshot\nExecStart=/bin/sh -c 'echo the reason >&2; exit 3'")
	err := c.StartUnit(ctx, name)
	var je *JobError
	if !errors.As(err, &je) || je.Result != "failed" {
		t.Errorf("failing start: got %v", err)
	}
	if err := c.ResetFailed(ctx, name); err != nil {
		t.Fatal(err)
	}
	if u := unit(t, c, name); u.ActiveState != Inactive {
		t.Errorf("after reset: %+v", u)
	}
	for name, err := range map[string]error{
		"start":   c.StartUnit(ctx, "kedge-test-none.service"),
		"restart": c.RestartUnit(ctx, "kedge-test-none.service"),
		"stop":    c.StopUnit(ctx, "kedge-test-none.service"),
	} {
		if err == nil || errors.As(err, &je) {
			t.Errorf("%s of a missing unit: got %v", name, err)
		}
	}
	if err := c.ResetFailed(ctx, "kedge-test-none.service"); err != nil {
		t.Errorf("reset of a missing unit: %v", err)
	}
}

func TestRealJobOutlivesReload(t *testing.T) {
	for _, verb := range []string{"daemon-reload", "daemon-reexec"} {
		t.Run(verb, func(t *testing.T) {
			ctx, c := t.Context(), realClient(t)
			const name = "kedge-test-slow.service"
			writeService(t, name, "Type=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sleep 3")
			errs := make(chan error, 1)
			go func() { errs <- c.StartUnit(ctx, name) }()
			await(t, c, name, func(u Unit) bool { return u.ActiveState == Activating && u.SubState == "start" })
			systemctl(t, verb)
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
			if u := unit(t, c, name); u.ActiveState != Active {
				t.Errorf("after start: %+v", u)
			}
			if err := c.StopUnit(ctx, name); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRealConnectionIsKeptUntilRestAndMadeAnewWhenItIsGone(t *testing.T) {
	ctx, c := t.Context(), realClient(t)
	const name = "dbus.service"
	unit(t, c, name)
	first := c.kept
	unit(t, c, name)
	if first == nil || c.kept != first {
		t.Error("a second call made a connection of its own")
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := c.Unit(gone, name); err == nil || c.kept != first {
		t.Errorf("a caller who gave up (%v) took the connection along", err)
	}
	systemctl(t, "daemon-reexec")
	unit(t, c, name)
	if c.kept == nil || c.kept == first {
		t.Error("after daemon-reexec there is no new connection")
	}
	c.Rest()
	if c.kept != nil {
		t.Error("Rest kept the connection")
	}
	unit(t, c, name)
}

func TestRealJobEndsWithItsContext(t *testing.T) {
	c := realClient(t)
	const name = "kedge-test-slow.service"
	writeService(t, name, "Type=oneshot\nExecStart=/bin/sleep 60")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := c.StartUnit(ctx, name); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
	if _, err := c.AwaitUnit(ctx, name, func(Unit) bool { return false }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("await: got %v, want %v", err, context.DeadlineExceeded)
	}
	if err := c.StopUnit(t.Context(), name); err != nil {
		t.Error(err)
	}
}

func TestRealTransientUnitIsRestartedUntilItSucceeds(t *testing.T) {
	ctx, c := t.Context(), realClient(t)
	dir := t.TempDir()
	u := TransientUnit{
		Name:           fmt.Sprintf("kedge-test-transient-%d.service", os.Getpid()),
		Description:    "a test",
		ExecStart:      []string{"/bin/sh", "-c", `echo "try $A $$" && echo x >>"$1"; while [ ! -e "$2" ]; do sleep 0.05; done; exit 0`, "sh", filepath.Join(dir, "tries"), filepath.Join(dir, "done")},
		Environment:    []string{"A=b c"},
		Restart:        "on-failure",
		RestartDelay:   100 * time.Millisecond,
		StopTimeout:    7 * time.Second,
		OOMScoreAdjust: -900,
		TimerSlack:     3 * time.Millisecond,
	}
	start := time.Now()
	if err := c.StartTransient(ctx, u); err != nil {
		t.Fatal(err)
	}
	t.Logf("start took %v", time.Since(start))
	if err := c.StartTransient(ctx, u); !errors.Is(err, ErrUnitExists) {
		t.Errorf("second start: got %v, want %v", err, ErrUnitExists)
	}
	got := unit(t, c, u.Name)
	if got.ActiveState != Active || got.InvocationID == "" {
		t.Errorf("after start: %+v", got)
	}
	show := systemctl(t, "show", u.Name, "-p", "Restart,RestartUSec,StartLimitIntervalUSec,TimeoutStopUSec,OOMScoreAdjust,TimerSlackNSec,DefaultDependencies,CollectMode,Conflicts,Before,Description,Type,Transient")
	for _, want := range []string{
		"Restart=on-failure", "RestartUSec=100ms", "StartLimitIntervalUSec=0", "TimeoutStopUSec=7s", "OOMScoreAdjust=-900", "TimerSlackNSec=3000000", "Type=exec",
		"DefaultDependencies=no", "CollectMode=inactive-or-failed", "Conflicts=shutdown.target", "Before=shutdown.target", "Description=a test", "Transient=yes",
	} {
		if !slices.Contains(strings.Split(show, "\n"), want) {
			t.Errorf("property %s is missing in\n%s", want, show)
		}
	}
	// Killed many times in a row, alone and with its whole cgroup.
	for i := range 8 {
		before := unit(t, c, u.Name).InvocationID
		whom := []string{"main", "all"}[i%2]
		systemctl(t, "kill", "--kill-whom="+whom, "--signal=KILL", u.Name)
		await(t, c, u.Name, func(u Unit) bool { return u.InvocationID != before && u.ActiveState == Active })
	}
	lines, err := c.Journal(ctx, JournalQuery{Unit: u.Name, Lines: 100})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "try b c ") }) {
		t.Errorf("journal: %q", lines)
	}
	if err := os.WriteFile(filepath.Join(dir, "done"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	await(t, c, u.Name, func(u Unit) bool { return !u.Loaded() })
}

func TestRealTransientUnitThatCannotRun(t *testing.T) {
	ctx, c := t.Context(), realClient(t)
	name := fmt.Sprintf("kedge-test-norun-%d.service", os.Getpid())
	err := c.StartTransient(ctx, TransientUnit{Name: name, ExecStart: []string{"/does/not/exist"}})
	var je *JobError
	if !errors.As(err, &je) || je.Result != "failed" {
		t.Errorf("got %v", err)
	}
	await(t, c, name, func(u Unit) bool { return !u.Loaded() })
}

func TestRealJournalOfARun(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c := realClient(t)
	const name = "kedge-test-log.service"
	contains := func(lines []string, text string) bool {
		return slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, text) })
	}
	for n := range 10 {
		// It is gone before the journal can ask what unit it is of.
		reason := fmt.Sprintf("reason %d.", n)
		writeService(t, name, fmt.Sprintf("Type=oneshot\nExecStart=/bin/sh -c 'printf \"\\\\033[31m%s\\\\033[0m\\n\"; exit 3'", reason))
		if err := c.StartUnit(ctx, name); err == nil {
			t.Fatal("no error")
		}
		u, _ := troubled(t, c).Find(name)
		var lines []string
		// The journal is a process of its own, which may lag behind.
		err := poll(ctx, func() (done bool, err error) {
			lines, err = c.Journal(ctx, JournalQuery{Unit: name, Since: u.Began})
			return contains(lines, "Failed with result") && slices.Contains(lines, " [31m"+reason+" [0m"), err
		})
		if err != nil {
			t.Fatalf("%v; last read %q", err, lines)
		}
		if n > 0 && contains(lines, fmt.Sprintf("reason %d.", n-1)) {
			t.Errorf("lines of the run before: %q", lines)
		}
	}
	lines, err := c.Journal(ctx, JournalQuery{Unit: name, Lines: 1})
	if err != nil || len(lines) != 1 {
		t.Errorf("one line: got %q, %v", lines, err)
	}
	lines, err = c.Journal(ctx, JournalQuery{Unit: name, BySystemd: true})
	if err != nil || !contains(lines, "Failed with result") || contains(lines, "reason") {
		t.Errorf("lines of systemd's own: got %q, %v", lines, err)
	}
	// The failure was a moment ago, as a rule in this very second.
	lines, err = c.Journal(ctx, JournalQuery{Unit: name, Since: time.Now()})
	if err != nil || contains(lines, "Failed with result") {
		t.Errorf("lines since now: got %q, %v", lines, err)
	}
}

func realClient(t *testing.T) *Client {
	t.Helper()
	if name, err := os.ReadFile("/proc/1/comm"); err != nil || strings.TrimSpace(string(name)) != "systemd" {
		t.Fatalf("process 1 is %q, not systemd: run this test in a test host", strings.TrimSpace(string(name)))
	}
	c := &Client{}
	t.Cleanup(c.Rest)
	return c
}

// writeService makes a unit, which the end of the test removes.
func writeService(t *testing.T, name, service string) {
	t.Helper()
	file := filepath.Join("/run/systemd/system", name)
	unit := "[Unit]\nStartLimitIntervalSec=0\n[Service]\n" + strings.Replace(service, "\nStartLimitIntervalSec=0", "", 1) + "\n"
	if err := os.WriteFile(file, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	systemctl(t, "daemon-reload")
	t.Cleanup(func() {
		// What was stopped or has failed already is no error.
		_ = exec.Command("systemctl", "stop", name).Run()
		_ = exec.Command("systemctl", "reset-failed", name).Run()
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
		systemctl(t, "daemon-reload")
	})
}

func systemctl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("systemctl", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("systemctl %v: %v: %s", args, err, out)
	}
	return string(out)
}

func unit(t *testing.T, c *Client, name string) Unit {
	t.Helper()
	u, err := c.Unit(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func troubled(t *testing.T, c *Client) Units {
	t.Helper()
	units, err := c.Troubled(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return units
}

func await(t *testing.T, c *Client, name string, ok func(Unit) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	if _, err := c.AwaitUnit(ctx, name, ok); err != nil {
		t.Fatal(err)
	}
}
