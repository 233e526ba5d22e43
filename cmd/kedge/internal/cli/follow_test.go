package cli_test

import (
	"bytes"
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kedge/cmd/kedge/internal/cli"
	"kedge/controller"
	"kedge/controller/controllertest"
	"kedge/proto"
)

// lines is what is written, line by line.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		l <- strings.TrimSpace(line)
	}
	return len(b), nil
}

// await returns when a line has what is wanted in it.
func (l lines) await(t *testing.T, ended <-chan error, want string) {
	t.Helper()
	late := time.After(30 * time.Second)
	for {
		select {
		case line := <-l:
			if strings.Contains(line, want) {
				return
			}
		case err := <-ended:
			t.Fatalf("kedge ended with %v, want it to say %q", err, want)
		case <-late:
			t.Fatalf("kedge has not said %q", want)
		}
	}
}

// TestFollowersOutliveTheController: a call that waits for news when the controller stops
// is answered by it, and the next one is answered by the next controller.
func TestFollowersOutliveTheController(t *testing.T) {
	address := freeAddress(t)
	fixed := func(c *controller.Config) { c.NATS.Listen = address }
	state, world := filepath.Join(t.TempDir(), "state"), &controllertest.World{}
	var logs bytes.Buffer
	c, err := controllertest.Start(t.Context(), state, world, &logs, fixed)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	}()
	host := filepath.Join(t.TempDir(), "web1.creds")
	env := map[string]string{"KEDGE_SERVER": c.NATSURL(), "KEDGE_CREDS": c.AdminCredentials()}
	said, ended := make(lines, 1000), make(chan error, 1)
	options := cli.Options{Stdout: t.Output(), Stderr: said, Getenv: func(k string) string { return env[k] }}
	if err := cli.Run(t.Context(), options, []string{"host", "add", "web1", "--out", host}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	options.Stdout = said
	go func() { ended <- cli.Run(ctx, options, []string{"events", "--follow"}) }()
	deploy(t, world, c, host, "one")
	said.await(t, ended, "web1  committed")
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if text := logs.String(); strings.Contains(text, "call failed") {
		t.Errorf("the controller takes its own end for a fault: %s", text)
	}
	if c, err = controllertest.Start(t.Context(), state, world, &logs, fixed); err != nil {
		t.Fatal(err)
	}
	deploy(t, world, c, host, "two")
	said.await(t, ended, "the controller answers again")
	said.await(t, ended, "web1  committed")
	stop()
	if err := <-ended; err != nil {
		t.Errorf("interrupted, it ends with %v", err)
	}
}

// deploy has the host web1 deploy a toplevel, and returns when it says that it did.
func deploy(t *testing.T, w *controllertest.World, c *controllertest.Running, credentials, name string) {
	t.Helper()
	web1, err := proto.ParseHostName("web1")
	if err != nil {
		t.Fatal(err)
	}
	toplevel, err := controllertest.Toplevel(name)
	if err != nil {
		t.Fatal(err)
	}
	w.Push(controllertest.Flake{Toplevels: map[proto.HostName]proto.StorePath{web1: toplevel}})
	env := map[string]string{"KEDGE_SERVER": c.NATSURL(), "KEDGE_CREDS": c.AdminCredentials()}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- controllertest.Agent{Host: web1, Server: c.NATSURL(), Credentials: credentials, Trust: c.Trust()}.Run(ctx)
	}()
	err = cli.Run(t.Context(), cli.Options{Stdout: t.Output(), Stderr: t.Output(), Getenv: func(k string) string { return env[k] }}, []string{"reconcile", "--wait", "--timeout", "30s"})
	stop()
	if agent := <-ended; err != nil || agent != nil {
		t.Fatal(err, agent)
	}
}

// freeAddress returns where a server may listen again and again.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}
