package hatest

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"kedge/controller"
	"kedge/controller/controllertest"
	"kedge/controller/internal/natstest"
	"kedge/proto"
	"kedge/proto/bus"
)

func hostName(t *testing.T, s string) proto.HostName {
	t.Helper()
	h, err := proto.ParseHostName(s)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func toplevel(t *testing.T, name string) proto.StorePath {
	t.Helper()
	p, err := controllertest.Toplevel(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// connectTo connects to NATS servers, whose URLs have commas between.
func connectTo(t *testing.T, url, file string) *bus.Conn {
	t.Helper()
	conn, err := bus.Connect(t.Context(), bus.Options{
		Servers: strings.Split(url, ","), Name: "test", Credentials: file, Log: slog.New(slog.DiscardHandler),
		Backoff: bus.Backoff{Base: 10 * time.Millisecond, Cap: 100 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// startNATS starts one server with what the controller says that it needs.
func startNATS(t *testing.T, text string) string {
	t.Helper()
	o, err := natstest.Configured(text, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, err := natstest.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { natstest.Stop(s) })
	return s.ClientURL()
}

// backUp returns a backup of a state directory, and what opens it.
func backUp(t *testing.T, stateDir string) controller.BackupOrder {
	t.Helper()
	dir := t.TempDir()
	o := controller.BackupOrder{File: filepath.Join(dir, "backup.age"), Version: "0.0.0-test", Now: time.Now()}
	o.Secret.RecipientsFile, o.Secret.IdentitiesFile = filepath.Join(dir, "public"), filepath.Join(dir, "secret")
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(
		os.WriteFile(o.Secret.RecipientsFile, []byte(id.Recipient().String()+"\n"), 0o600),
		os.WriteFile(o.Secret.IdentitiesFile, []byte(id.String()+"\n"), 0o600),
		controller.Backup(controllertest.Config(stateDir), o),
	)
	if err != nil {
		t.Fatal(err)
	}
	return o
}
