package controller_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"kedge/controller"
	"kedge/controller/controllertest"
	"kedge/proto"
	"kedge/proto/bus"
)

// backup returns a backup of c, and what opens it.
func (c *controllerTest) backup(t *testing.T) controller.BackupOrder {
	t.Helper()
	dir := t.TempDir()
	o := controller.BackupOrder{File: filepath.Join(dir, "backup.age"), Version: "0.0.0-test", Now: time.Now()}
	o.Secret.RecipientsFile, o.Secret.IdentitiesFile = filepath.Join(dir, "public"), filepath.Join(dir, "secret")
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{o.Secret.RecipientsFile: id.Recipient().String(), o.Secret.IdentitiesFile: id.String()} {
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := controller.Backup(controllertest.Config(c.stateDir), o); err != nil {
		t.Fatal(err)
	}
	return o
}

// restore gives c another disk, with what was in the backup.
func (c *controllerTest) restore(t *testing.T, o controller.BackupOrder) {
	t.Helper()
	c.stateDir = filepath.Join(t.TempDir(), "state")
	if _, err := controller.Restore(controllertest.Config(c.stateDir), o); err != nil {
		t.Fatal(err)
	}
}

// runAgent runs an agent of a host that accepted what floor says, until the function
// that it returns is called.
func (c *controllerTest) runAgent(t *testing.T, host proto.HostName, credentials string, floor proto.Floor) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	agent := controllertest.Agent{Host: host, Server: c.NATSURL(), Credentials: credentials, Trust: c.Trust(), Floor: floor}
	go func() { ended <- agent.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("the agent ended with %v", err)
		}
	}
}

// TestARestoredControllerPublishesNothingTwice loses the disk, but for NATS, after more
// was published than is in the backup.
func TestARestoredControllerPublishesNothingTwice(t *testing.T) {
	for _, keysOnly := range []bool{false, true} {
		c := start(t)
		web1, web2 := hostName(t, "web1"), hostName(t, "web2")
		one, two := toplevel(t, "one"), toplevel(t, "two")
		c.world.Push(controllertest.Flake{Toplevels: map[proto.HostName]proto.StorePath{web1: one}})
		c.await(t, "serial 1", wants(web1, 1, one))
		o := c.backup(t)
		o.KeysOnly = keysOnly
		c.world.Push(controllertest.Flake{Toplevels: map[proto.HostName]proto.StorePath{web1: two, web2: two}})
		c.await(t, "serial 2", wants(web1, 2, two))
		before, other := c.desired(t, web1), c.desired(t, web2)
		nats := filepath.Join(c.stateDir, "nats")
		c.stop(t)

		c.restore(t, o)
		if err := os.Rename(nats, filepath.Join(c.stateDir, "nats")); err != nil {
			t.Fatal(err)
		}
		c.start(t)
		c.await(t, "what was published after the backup", wants(web1, 2, two))
		c.await(t, "the host that is not in the backup", wants(web2, 1, two))
		for host, want := range map[proto.HostName]proto.Order{web1: before, web2: other} {
			if got := c.desired(t, host).Assignment; !got.Issued.Equal(want.Assignment.Issued) || got.Serial != want.Assignment.Serial {
				t.Errorf("keys only %t: %s reads %s of %s, want %s of %s as before", keysOnly, host, got.Serial, got.Issued, want.Assignment.Serial, want.Assignment.Issued)
			}
		}
		c.stop(t)
	}
}

// TestSerialsGoOnAfterEverythingWasLost loses disk and NATS. What a host accepted is
// above all that the controller knows of.
func TestSerialsGoOnAfterEverythingWasLost(t *testing.T) {
	c := start(t)
	web1 := hostName(t, "web1")
	credentials := c.credentials(t, "web1")
	o := c.backup(t)
	o.KeysOnly = true
	floor := proto.Floor{Serial: 41, Issued: time.Now().UTC()}
	one := toplevel(t, "one")
	c.world.Push(controllertest.Flake{Toplevels: map[proto.HostName]proto.StorePath{web1: one}})
	c.stop(t)

	c.restore(t, o)
	c.start(t)
	c.await(t, "serial 1", wants(web1, 1, one))
	stop := c.runAgent(t, web1, credentials, floor)
	defer stop()
	refused := func(v proto.HostView) bool { return v.Status != nil && v.Status.Refused == 1 }
	if err := c.AwaitHost(t.Context(), web1, refused); err != nil {
		t.Fatal(err)
	}
	// Assignments are looked at once a minute, and whenever there is a further key.
	if _, err := bus.Call[proto.KeyAddRequest, proto.KeyAddReply](t.Context(), c.conn, proto.EndpointKeyAdd, proto.KeyAddRequest{Role: proto.KeyRelease}); err != nil {
		t.Fatal(err)
	}
	err := c.AwaitHost(t.Context(), web1, func(v proto.HostView) bool {
		return v.Want.Serial == 42 && v.Status != nil && v.Status.Serial == 42 && v.Status.Systems.Proven == one
	})
	if err != nil {
		t.Error(err)
	}
}

// TestABackupIsPutBackWhereAControllerWasInstalledAnew: what that has made on its first
// start, keys and what they signed, is in nobody's way, NATS included.
func TestABackupIsPutBackWhereAControllerWasInstalledAnew(t *testing.T) {
	c := start(t)
	web1, one := hostName(t, "web1"), toplevel(t, "one")
	credentials, trust := c.credentials(t, "web1"), c.Trust()
	c.world.Push(controllertest.Flake{Toplevels: map[proto.HostName]proto.StorePath{web1: one}})
	c.await(t, "serial 1", wants(web1, 1, one))
	before := c.desired(t, web1)
	o := c.backup(t)
	c.stop(t)

	c.stateDir = filepath.Join(t.TempDir(), "state")
	c.start(t)
	c.await(t, "serial 1 of the new one", wants(web1, 1, one))
	c.stop(t)
	if _, err := controller.Restore(controllertest.Config(c.stateDir), o); err == nil || !strings.Contains(err.Error(), "--force") {
		t.Errorf("restore over the new one's keys: %v", err)
	}
	o.Force = true
	if _, err := controller.Restore(controllertest.Config(c.stateDir), o); err != nil {
		t.Fatal(err)
	}
	c.start(t)
	if diff := cmp.Diff(trust, c.Trust(), cmp.AllowUnexported(proto.PublicKey{})); diff != "" {
		t.Errorf("whom hosts have to trust (-before +after):\n%s", diff)
	}
	defer c.runAgent(t, web1, credentials, proto.Floor{Serial: 1, Issued: before.Assignment.Issued})()
	err := c.AwaitHost(t.Context(), web1, func(v proto.HostView) bool {
		return v.Status != nil && v.Status.Serial == 1 && v.Status.Systems.Proven == one
	})
	if err != nil {
		t.Error(err)
	}
}

func TestRestoreIsRefusedWhileTheControllerRuns(t *testing.T) {
	c := start(t)
	o := c.backup(t)
	_, err := controller.Restore(controllertest.Config(c.stateDir), o)
	if err == nil || !strings.Contains(err.Error(), "stop kedge-controller.service first") {
		t.Errorf("restore: %v", err)
	}
}

func TestAControllerDoesNotStartOnHalfARestore(t *testing.T) {
	stateDir := filepath.Join(t.TempDir(), "state")
	if err := os.MkdirAll(filepath.Join(stateDir, "restore.unfinished"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := controllertest.Start(t.Context(), stateDir, &controllertest.World{}, t.Output())
	if err == nil || !strings.Contains(err.Error(), "run kedge-controller restore again") {
		t.Errorf("start: %v", err)
	}
}
