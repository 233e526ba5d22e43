//go:build e2e

package hosts_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kedge/e2e/hosts"
)

// testFleets begins the names of the fleets that these tests make.
const testFleets = "hosts-test-"

// bootTimeout is far more than a boot takes, also when several compete for the processors.
const bootTimeout = time.Minute

// newNetwork makes an empty network that ends with the test, and checks that it leaves nothing behind.
func newNetwork(t *testing.T, name string) *hosts.Network {
	t.Helper()
	dir, err := hosts.Prepare(t.Context(), func(line string) { t.Log(line) })
	if err != nil {
		t.Fatal(err)
	}
	fleet := testFleets + name
	n, err := hosts.New(t.Context(), hosts.NetworkOptions{Fleet: fleet, Rootfs: dir, Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Destroy(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		checkNothingLeft(t, fleet)
	})
	return n
}

// mustMachine adds a machine.
func mustMachine(t *testing.T, n *hosts.Network, o hosts.Options) *hosts.Machine {
	t.Helper()
	m, err := n.Machine(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// mustBoot powers all the machines on at the same time and waits until they are up.
func mustBoot(t *testing.T, machines ...*hosts.Machine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bootTimeout)
	defer cancel()
	started := time.Now()
	failed := make(chan error, len(machines))
	for _, m := range machines {
		go func() {
			if err := m.PowerOn(ctx); err != nil {
				failed <- err
				return
			}
			failed <- m.AwaitBoot(ctx)
		}()
	}
	for range machines {
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d machines booted in %v", len(machines), time.Since(started).Round(time.Millisecond))
}

// mustRun runs a program on the machine and returns its output without the white space around it.
func mustRun(t *testing.T, m *hosts.Machine, argv ...string) string {
	t.Helper()
	out, err := m.Run(t.Context(), argv...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// A dialer is somewhere on the network.
type dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// serve has the machine answer every HTTP request to the port with a megabyte, as long as the test runs.
func serve(t *testing.T, m *hosts.Machine, port int) {
	t.Helper()
	listening, err := m.Listen(t.Context(), "tcp", fmt.Sprintf("0.0.0.0:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write(make([]byte, 1_000_000))
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listening) }()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
}

// reaches tells whether a TCP connection from there to address comes about.
func reaches(t *testing.T, from dialer, address string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	conn, err := from.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// checkNothingLeft fails the test if the machine still has something that bears the fleet's name.
func checkNothingLeft(t *testing.T, fleet string) {
	t.Helper()
	for _, place := range []string{"/var/tmp/kedge-e2e", "/run/netns", "/run/systemd/nspawn/propagate", "/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"} {
		entries, err := os.ReadDir(place)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if strings.Contains(e.Name(), fleet) {
				t.Errorf("left behind: %s/%s", place, e.Name())
			}
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), fleet+"/") {
		t.Errorf("left behind: a mount of %s", fleet)
	}
}

func TestMachines(t *testing.T) {
	n := newNetwork(t, "main")
	build := mustMachine(t, n, hosts.Options{Name: "build", Public: true})
	web1 := mustMachine(t, n, hosts.Options{Name: "web1", Inbound: true})
	web2 := mustMachine(t, n, hosts.Options{Name: "web2"})
	mustBoot(t, build, web1, web2)

	t.Run("run real systemd", func(t *testing.T) {
		for _, m := range []*hosts.Machine{build, web1, web2} {
			if got := mustRun(t, m, "systemctl", "is-system-running"); got != "running" {
				t.Errorf("%s is %q, want running; failed units:\n%s", m.Name(), got, mustRun(t, m, "systemctl", "list-units", "--failed"))
			}
			if got := mustRun(t, m, "hostname"); got != m.Name() {
				t.Errorf("hostname of %s = %q", m.Name(), got)
			}
			t.Log(m.Name(), mustRun(t, m, "systemd-analyze", "time"))
		}
	})
	t.Run("run Nix", func(t *testing.T) {
		out := mustRun(t, web1, "nix-build", "--no-out-link", "-E",
			`derivation { name = "hello"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo hello > $out" ]; }`)
		if !strings.HasPrefix(out, "/nix/store/") {
			t.Errorf("nix-build printed %q, want a store path", out)
		}
	})
	t.Run("reach the public one", func(t *testing.T) {
		for _, m := range []*hosts.Machine{web1, web2} {
			mustRun(t, m, "ping", "-c1", "-W2", build.Addr().String())
			mustRun(t, m, "ping", "-c1", "-W2", "build")
		}
	})
	t.Run("can be reached only if public or asked to be", func(t *testing.T) {
		for _, m := range []*hosts.Machine{build, web1, web2} {
			mustRun(t, m, "systemctl", "start", "ssh")
		}
		tests := []struct {
			name    string
			from    dialer
			address string
			want    bool
		}{
			{"the internet reaches the public one", n, fmt.Sprintf("%s:22", build.Addr()), true},
			{"a host reaches the public one", web2, fmt.Sprintf("%s:22", build.Addr()), true},
			{"the host reaches itself", web2, "127.0.0.1:22", true},
			{"the internet reaches a forwarded port", n, fmt.Sprintf("%s:22", web1.WANAddr()), true},
			{"the internet does not reach a router without forwarding", n, fmt.Sprintf("%s:22", web2.WANAddr()), false},
			{"the internet does not reach a private address", n, fmt.Sprintf("%s:22", web2.Addr()), false},
			{"the public one does not reach a host", build, fmt.Sprintf("%s:22", web2.WANAddr()), false},
			{"a host does not reach another", web1, fmt.Sprintf("%s:22", web2.Addr()), false},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				if got := reaches(t, test.from, test.address); got != test.want {
					t.Errorf("a connection to %s comes about: %v, want %v", test.address, got, test.want)
				}
			})
		}
	})
	t.Run("files are read and written on the running host", func(t *testing.T) {
		for _, name := range []string{"/run/kedge-test/file", "/var/lib/kedge-test/file"} {
			if err := web1.WriteFile(name, []byte("from outside"), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := mustRun(t, web1, "cat", name); got != "from outside" {
				t.Errorf("the host reads %q in %s", got, name)
			}
		}
		mustRun(t, web1, "ln", "-sfn", "/run/kedge-test", "/etc/absolute-link")
		got, err := web1.ReadFile("/etc/absolute-link/file")
		if err != nil || string(got) != "from outside" {
			t.Errorf("through an absolute link: %q, %v", got, err)
		}
		if got, err := web1.Readlink("/etc/absolute-link"); err != nil || got != "/run/kedge-test" {
			t.Errorf("Readlink = %q, %v", got, err)
		}
		if _, err := web1.ReadFile("/no/such/file"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("reading a missing file = %v, want os.ErrNotExist", err)
		}
	})
	t.Run("pulling the cable cuts it off", func(t *testing.T) {
		if err := web1.Unplug(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := web1.Run(t.Context(), "ping", "-c1", "-W1", build.Addr().String()); err == nil {
			t.Error("the public one answers through a pulled cable")
		}
		if err := web1.Plug(t.Context()); err != nil {
			t.Fatal(err)
		}
		mustRun(t, web1, "ping", "-c1", "-W5", build.Addr().String())
	})
	t.Run("a long and narrow line is both", func(t *testing.T) {
		serve(t, build, 8000)
		if err := web2.Shape(t.Context(), hosts.Line{Delay: 50 * time.Millisecond, Rate: 10_000_000}); err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		mustRun(t, web2, "ping", "-c1", "-W5", build.Addr().String())
		if took := time.Since(started); took < 100*time.Millisecond {
			t.Errorf("there and back took %v, want at least 100ms", took)
		}
		started = time.Now()
		mustRun(t, web2, "curl", "--silent", "--fail", "--output", "/dev/null", "http://build:8000/big")
		narrow := time.Since(started)
		if narrow < 800*time.Millisecond || narrow > 10*time.Second {
			t.Errorf("a megabyte at 10 Mbit/s took %v, want somewhat more than 800ms", narrow)
		}
		if err := web2.Unplug(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := web2.Plug(t.Context()); err != nil {
			t.Fatal(err)
		}
		mustRun(t, web2, "ping", "-c1", "-W5", build.Addr().String())
		if err := web2.Shape(t.Context(), hosts.Line{}); err != nil {
			t.Fatal(err)
		}
		started = time.Now()
		mustRun(t, web2, "curl", "--silent", "--fail", "--output", "/dev/null", "http://build:8000/big")
		if perfect := time.Since(started); perfect > narrow {
			t.Errorf("a megabyte over a perfect line took %v, and over a narrow one %v", perfect, narrow)
		}
	})
}

func TestProgramsOnTheWANEndWithTheNetwork(t *testing.T) {
	n := newNetwork(t, "wan")
	started := filepath.Join(t.TempDir(), "started")
	if err := unix.Mkfifo(started, 0o600); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := n.Run(t.Context(), "sh", "-c", `echo >"$0"; exec sleep infinity`, started)
		ended <- err
	}()
	if _, err := os.ReadFile(started); err != nil { // which waits for it
		t.Fatal(err)
	}
	if err := n.Destroy(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-ended; err == nil {
		t.Error("the program ended by itself")
	}
}

func TestMachineWithARootFileSystemOfItsOwn(t *testing.T) {
	n := newNetwork(t, "rootfs")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "other"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	m := mustMachine(t, n, hosts.Options{Name: "other", Rootfs: dir})
	if ok, err := m.Exists("/other"); !ok || err != nil {
		t.Errorf("Exists = %t, %v: its disk is of something else", ok, err)
	}
}
