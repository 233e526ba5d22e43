package certificate

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kedge/proto"
)

func TestASelfSignedCertificateKeepsItsKey(t *testing.T) {
	dir := t.TempDir()
	o := Options{OwnKeyFile: filepath.Join(dir, "tls.pem"), Names: []string{"build.example", "10.0.0.1"}, Log: slog.New(slog.DiscardHandler)}
	first := open(t, o)
	o.Names = []string{"other.example"}
	second := open(t, o)
	if first.Pin() != second.Pin() || !first.SelfSigned() {
		t.Errorf("pins = %s and %s, want the same", first.Pin(), second.Pin())
	}
	if err := errors.Join(first.leaf().VerifyHostname("build.example"), first.leaf().VerifyHostname("10.0.0.1"), second.leaf().VerifyHostname("other.example")); err != nil {
		t.Error(err)
	}
	stat, err := os.Stat(o.OwnKeyFile)
	if err != nil || stat.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v; want 600", stat.Mode(), err)
	}
}

func TestAKeyThatCannotBeUsedStaysAsItIs(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		perm os.FileMode
		want string
	}{
		"no key":             {"hello", 0o600, "holds no key in PEM"},
		"a damaged key":      {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 0o600, "no key that can be used"},
		"others may read it": {"hello", 0o640, "may be read by others"},
	} {
		file := filepath.Join(t.TempDir(), "tls.pem")
		if err := errors.Join(os.WriteFile(file, []byte(tt.text), tt.perm), os.Chmod(file, tt.perm)); err != nil {
			t.Fatal(err)
		}
		_, err := Open(Options{OwnKeyFile: file, Log: slog.New(slog.DiscardHandler)})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error = %v, want %q", name, err, tt.want)
		}
		if after, err := os.ReadFile(file); err != nil || string(after) != tt.text {
			t.Errorf("%s: the file is %q now, %v", name, after, err)
		}
	}
}

func TestFilesAreReadAgainWhenTheyChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var logged bytes.Buffer
		var pins []proto.Pin
		o := Options{
			CertificateFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem"), OwnKeyFile: filepath.Join(dir, "own"),
			Log:     slog.New(slog.NewTextHandler(&logged, nil)),
			Changed: func(p proto.Pin) error { pins = append(pins, p); return nil },
		}
		first := write(t, o)
		c := open(t, o)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- c.Run(ctx) }()

		look := func() { time.Sleep(lookInterval + time.Second); synctest.Wait() }
		look()
		if c.Pin() != first || c.SelfSigned() {
			t.Errorf("pin = %s, want %s", c.Pin(), first)
		}
		if err := os.WriteFile(o.KeyFile, []byte("half a key"), 0o600); err != nil {
			t.Fatal(err)
		}
		look()
		look()
		if c.Pin() != first || strings.Count(logged.String(), "the old one is shown") != 1 {
			t.Errorf("pin = %s, want %s; logged %s", c.Pin(), first, &logged)
		}
		second := write(t, o)
		look()
		if c.Pin() != second || len(pins) != 2 || pins[1] != second {
			t.Errorf("pin = %s, want %s; heard of %v", c.Pin(), second, pins)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestHandshakesAreBounded(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	l := newLimiter(func() time.Time { return now })
	from := func(n int) net.Addr { return &net.TCPAddr{IP: net.IPv4(10, byte(n>>16), byte(n>>8), byte(n)), Port: 1} }
	allowed := func(n, times int) (got int) {
		for range times {
			if l.allow(from(n)) {
				got++
			}
		}
		return got
	}
	if got := allowed(1, 2*addressBurst); got != addressBurst {
		t.Errorf("one address began %d handshakes at once, want %d", got, addressBurst)
	}
	if !l.allow(from(2)) {
		t.Error("another address has to wait for the first")
	}
	now = now.Add(time.Second)
	if got := allowed(1, 2*addressBurst); got != addressRate {
		t.Errorf("one address began %d handshakes in a second, want %d", got, addressRate)
	}
	got := 0
	for n := 10; n < 10+maxAddresses+100; n++ {
		got += allowed(n, 1)
	}
	if got > handshakeBurst || len(l.addrs) > maxAddresses {
		t.Errorf("%d handshakes at once, want %d at most; %d addresses are remembered", got, handshakeBurst, len(l.addrs))
	}
	now = now.Add(time.Minute)
	if !l.allow(from(1)) || !l.allow(from(1_000_000)) {
		t.Error("after a quiet minute somebody has to wait")
	}
}

func TestNoOldTLS(t *testing.T) {
	c := open(t, Options{OwnKeyFile: filepath.Join(t.TempDir(), "tls.pem"), Log: slog.New(slog.DiscardHandler)})
	for version, ok := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		client, server := net.Pipe()
		ended := make(chan error, 1)
		go func() { ended <- tls.Server(server, c.TLS()).Handshake() }()
		err := tls.Client(client, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version}).Handshake()
		_ = client.Close()
		<-ended
		if (err == nil) != ok {
			t.Errorf("TLS %x: %v, want ok: %t", version, err, ok)
		}
	}
}

func open(t *testing.T, o Options) *Certificate {
	t.Helper()
	c, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// write writes a new certificate to o's files, and returns its pin.
func write(t *testing.T, o Options) proto.Pin {
	t.Helper()
	made := open(t, Options{OwnKeyFile: filepath.Join(t.TempDir(), "tls.pem"), Log: o.Log}).shown.Load()
	key, err := x509.MarshalPKCS8PrivateKey(made.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		os.WriteFile(o.CertificateFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made.Certificate[0]}), 0o600),
		os.WriteFile(o.KeyFile, pem.EncodeToMemory(&pem.Block{Type: keyType, Bytes: key}), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	return proto.PinOf(made.Leaf)
}
