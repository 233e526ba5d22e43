package controller_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"kedge/controller/controllertest"
	"kedge/proto"
	"kedge/proto/bus"
)

// TestWithOtherKeysOfNATSNobodyIsLetInFromBefore: whoever saw the old ones. What hosts
// are to run stays.
func TestWithOtherKeysOfNATSNobodyIsLetInFromBefore(t *testing.T) {
	c := start(t)
	web1, one := hostName(t, "web1"), toplevel(t, "one")
	c.world.Push(controllertest.Flake{Toplevels: map[proto.HostName]proto.StorePath{web1: one}})
	c.await(t, "serial 1", wants(web1, 1, one))
	before := c.desired(t, web1)
	host := c.credentials(t, "web1")
	file := c.AdminCredentials()

	c.stop(t)
	stolen := steal(t, file)
	if err := os.Remove(filepath.Join(c.stateDir, "keys", "nats.json")); err != nil {
		t.Fatal(err)
	}
	c.start(t)
	mustBeRefused(t, c.NATSURL(), stolen)
	mustBeRefused(t, c.NATSURL(), host)
	if got := c.desired(t, web1); got.Assignment.Serial != before.Assignment.Serial {
		t.Errorf("web1 reads serial %s, want %s as before", got.Assignment.Serial, before.Assignment.Serial)
	}
	again := c.credentials(t, "web1")
	awaitState(t, connectTo(t, c.NATSURL(), again), func(s bus.State) bool { return s.Connected })
}

// TestNewCredentialsOfTheAdministratorShutOutTheOldOnes: whoever copied those before the
// file was removed.
func TestNewCredentialsOfTheAdministratorShutOutTheOldOnes(t *testing.T) {
	c := start(t)
	file := c.AdminCredentials()
	c.stop(t)
	stolen := steal(t, file)
	c.start(t)
	mustBeRefused(t, c.NATSURL(), stolen)
	awaitState(t, connectTo(t, c.NATSURL(), file), func(s bus.State) bool { return s.Connected })
}

// steal takes a file away, and returns where it is then.
func steal(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	stolen := filepath.Join(t.TempDir(), filepath.Base(file))
	if err := errors.Join(os.WriteFile(stolen, b, 0o600), os.Remove(file)); err != nil {
		t.Fatal(err)
	}
	return stolen
}
