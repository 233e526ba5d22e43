package natsd_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"kedge/controller/internal/natsd"
	"kedge/controller/internal/natstest"
	"kedge/proto"
	"kedge/proto/bus"
	"kedge/proto/outbound"
)

// processConfig, in the environment, makes this test binary a NATS server as others
// run it, with that configuration file.
const processConfig = "KEDGE_TEST_NATSD_CONFIG"

// serveConfig runs such a server until standard input ends, and prints its URL.
func serveConfig(file, listen string) error {
	o, err := server.ProcessConfigFile(file)
	if err != nil {
		return err
	}
	host, port, _ := strings.Cut(listen, ":")
	o.Host, o.Port = host, server.RANDOM_PORT
	if port != "0" {
		if _, err := fmt.Sscan(port, &o.Port); err != nil {
			return err
		}
	}
	s, err := natstest.Start(o)
	if err != nil {
		return err
	}
	defer natstest.Stop(s)
	if _, err := fmt.Fprintln(os.Stdout, s.ClientURL()); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// writeConfig writes what keys say that a server needs, with its directories in dir.
func writeConfig(t *testing.T, keys *natsd.Keys, dir, resolver string) string {
	t.Helper()
	text, err := keys.Config(natsd.Revoked{}, false)
	if err != nil {
		t.Fatal(err)
	}
	text = strings.ReplaceAll(text, "/var/lib/nats", dir)
	if resolver != "" {
		head, rest, _ := strings.Cut(text, "resolver {")
		_, tail, _ := strings.Cut(rest, "}\n")
		text = head + resolver + tail
	}
	file := filepath.Join(dir, "nats.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestRevocationReachesAServerOfSomebodyElses(t *testing.T) {
	for _, c := range []struct {
		name, resolver string
		pending        bool
	}{
		{name: "whose resolver takes accounts"},
		{name: "whose resolver takes none", resolver: "resolver: MEMORY\n", pending: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			state, dir := t.TempDir(), t.TempDir()
			keys, err := natsd.OpenKeys(state)
			if err != nil {
				t.Fatal(err)
			}
			config := writeConfig(t, keys, dir, c.resolver)
			t.Setenv(processConfig, config)
			p := startProcess(t, state, "127.0.0.1:0")

			remote, err := natsd.OpenRemote(natsd.RemoteOptions{StateDir: state, URL: p.url, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			control := connect(t, p.url, "controller", remote.ControllerCredentials())
			awaitConnected(t, control)
			if err := bus.NewFleet(control, slog.New(slog.DiscardHandler)).EnsureAssets(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			id, file := vouched(t, remote)
			web1 := connect(t, p.url, "web1", file)
			awaitConnected(t, web1)

			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := remote.Revoke(ctx, natsd.Revoked{}); err != nil {
				t.Errorf("nobody is revoked: %v", err)
			}
			err = remote.Revoke(ctx, natsd.Revoked{Hosts: []string{id.PublicKey}})
			if got := errors.Is(err, natsd.ErrPending); got != c.pending || !got && err != nil {
				t.Fatalf("error = %v, want pending to be %t", err, c.pending)
			}
			if c.pending {
				return
			}
			await(t, web1, func(s bus.State) bool { return !s.Connected && errors.Is(s.Err, bus.ErrNotAuthorized) })
			web1.Close()
			address := p.address()
			p.kill()
			p = startProcess(t, state, address)
			awaitConnected(t, connect(t, p.url, "controller", remote.ControllerCredentials()))
			again := connect(t, p.url, "web1", file)
			await(t, again, func(s bus.State) bool {
				if s.Connected {
					t.Fatal("connected after a restart")
				}
				return errors.Is(s.Err, bus.ErrNotAuthorized)
			})
		})
	}
}

// vouched returns the identity of web1, and a file with its credentials.
func vouched(t *testing.T, remote *natsd.Remote) (bus.Identity, string) {
	t.Helper()
	id, err := bus.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	jwt, err := remote.HostJWT(hostName(t, "web1"), id.PublicKey, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	creds, err := bus.FormatCredentials(jwt, id.Seed)
	if err != nil {
		t.Fatal(err)
	}
	return id, writeFile(t, "web1.creds", creds)
}

// TestWhoLeadsNoMoreTellsTheServerNothing: what it knows of who is revoked may be old.
func TestWhoLeadsNoMoreTellsTheServerNothing(t *testing.T) {
	state := t.TempDir()
	keys, err := natsd.OpenKeys(state)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(processConfig, writeConfig(t, keys, t.TempDir(), ""))
	p := startProcess(t, state, "127.0.0.1:0")
	deposed := errors.New("another controller leads")
	asked := make(chan struct{}, 1)
	remote, err := natsd.OpenRemote(natsd.RemoteOptions{StateDir: state, URL: p.url, Log: slog.New(slog.DiscardHandler), Check: func() error {
		select {
		case asked <- struct{}{}:
		default:
		}
		return deposed
	}})
	if err != nil {
		t.Fatal(err)
	}
	id, file := vouched(t, remote)
	if err := remote.Revoke(t.Context(), natsd.Revoked{Hosts: []string{id.PublicKey}}); !errors.Is(err, deposed) {
		t.Fatalf("error = %v, want %v", err, deposed)
	}
	<-asked
	run(t, remote.Run)
	select {
	case <-asked:
	case <-time.After(patience):
		t.Fatal("it pushed, and did not ask")
	}
	awaitConnected(t, connect(t, p.url, "web1", file))
}

// TestAServerThatLostItsAccountsIsToldAgain who is revoked, by the controller that runs.
func TestAServerThatLostItsAccountsIsToldAgain(t *testing.T) {
	state, dir := t.TempDir(), t.TempDir()
	keys, err := natsd.OpenKeys(state)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(processConfig, writeConfig(t, keys, dir, ""))
	p := startProcess(t, state, "127.0.0.1:0")
	remote, err := natsd.OpenRemote(natsd.RemoteOptions{StateDir: state, URL: p.url, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	id, file := vouched(t, remote)
	if err := remote.Revoke(t.Context(), natsd.Revoked{Hosts: []string{id.PublicKey}}); err != nil {
		t.Fatal(err)
	}
	run(t, remote.Run)
	address := p.address()
	p.kill()
	if err := os.RemoveAll(filepath.Join(dir, "accounts")); err != nil {
		t.Fatal(err)
	}
	p = startProcess(t, state, address)
	web1 := connect(t, p.url, "web1", file)
	await(t, web1, func(s bus.State) bool { return !s.Connected && errors.Is(s.Err, bus.ErrNotAuthorized) })
}

func TestAccountsForAnotherOperatorAreSignedByThemselves(t *testing.T) {
	keys, err := natsd.OpenKeys(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	text, err := keys.Config(natsd.Revoked{}, true)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(text, "\neyJ"); n != 3 || strings.Contains(text, "SA") && strings.Contains(text, "SO") {
		t.Errorf("%d accounts in %s", n, text)
	}
}

// TestAServerOfSomebodyElsesIsKnownByItsKey: nothing is pushed to another one.
func TestAServerOfSomebodyElsesIsKnownByItsKey(t *testing.T) {
	state, dir := t.TempDir(), t.TempDir()
	keys, err := natsd.OpenKeys(state)
	if err != nil {
		t.Fatal(err)
	}
	config := writeConfig(t, keys, dir, "")
	pin := addCertificate(t, config)
	t.Setenv(processConfig, config)
	p := startProcess(t, state, "127.0.0.1:0")
	other, err := proto.ParsePin("sha256:" + strings.Repeat("A", 43) + "=")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		pins    []proto.Pin
		refused bool
	}{{"its key", []proto.Pin{pin}, false}, {"another key", []proto.Pin{other}, true}, {"no key", nil, true}} {
		remote, err := natsd.OpenRemote(natsd.RemoteOptions{StateDir: state, URL: p.url, Outbound: outbound.Options{Pins: c.pins}, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Sync(t.Context(), natsd.Revoked{}); errors.Is(err, natsd.ErrPending) != c.refused {
			t.Errorf("%s: error = %v, want it refused to be %t", c.name, err, c.refused)
		}
	}
}

// addCertificate has the server of a configuration file speak TLS, and returns the pin
// of its key.
func addCertificate(t *testing.T, config string) proto.Pin {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificateFile := writeFile(t, "cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}))
	keyFile := writeFile(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	text = fmt.Appendf(text, "\ntls { cert_file: %q, key_file: %q }\n", certificateFile, keyFile)
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(certificate)
	if err != nil {
		t.Fatal(err)
	}
	return proto.PinOf(parsed)
}
