//go:build host

package logind

import (
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/godbus/dbus/v5"
)

// These tests start the logind of the test host that they run on.

func TestRealLocks(t *testing.T) {
	startLogind(t)
	hold := exec.Command("systemd-inhibit", "--what=shutdown", "--who=backup", "--why=copies", "--mode=block", //nolint:noctx // ended by its input
		"sh", "-c", "echo held; read end")
	end, err := hold.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	said, err := hold.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := hold.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := said.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	locks, err := Client{}.Locks(t.Context())
	if want := (Lock{Who: "backup", Why: "copies", PID: uint32(hold.Process.Pid)}); err != nil || !slices.Equal(locks, []Lock{want}) {
		t.Errorf("Locks = %+v, %v, want %+v", locks, err, want)
	}
	if err := end.Close(); err != nil {
		t.Fatal(err)
	}
	_ = hold.Wait() // read fails at the end of its input
}

func TestRealUsers(t *testing.T) {
	startLogind(t)
	if users, err := (Client{}).Users(t.Context()); err != nil || len(users) > 0 {
		t.Errorf("Users = %q, %v, want nobody", users, err)
	}
	conn, err := dbus.Connect(systemBus)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// What pam_systemd does for who logs in.
	created := conn.Object(service, managerPath).Call(managerInterface+".CreateSession", 0,
		uint32(0), uint32(os.Getpid()), "login", "tty", "user", "", "", uint32(0), "", "", false, "", "", []struct {
			Name  string
			Value dbus.Variant
		}{})
	if created.Err != nil {
		t.Fatal(created.Err)
	}
	users, err := Client{}.Users(t.Context())
	if want := []string{"root"}; err != nil || !slices.Equal(users, want) {
		t.Errorf("Users = %q, %v, want %q", users, err, want)
	}
}

func startLogind(t *testing.T) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "systemctl", "start", "systemd-logind.service").CombinedOutput(); err != nil {
		t.Fatalf("start logind: %v\n%s", err, out)
	}
}
