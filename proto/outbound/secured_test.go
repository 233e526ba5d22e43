package outbound_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kedge/proto"
	"kedge/proto/outbound"
)

// TestAProxyThatSpeaksTLS goes through one to a server whose key is pinned, as a host
// does. It runs itself, since the system's authorities are read once.
func TestAProxyThatSpeaksTLS(t *testing.T) {
	if proxy := os.Getenv("KEDGE_TEST_PROXY"); proxy != "" {
		goThrough(t, proxy, os.Getenv("KEDGE_TEST_PIN"))
		return
	}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "reached "+r.Host)
	}))
	defer server.Close()
	inner, asked := startProxy(t, server.Listener.Addr().String(), "s3cret")
	proxy, authority := startSecured(t, inner)
	pin := proto.PinOf(server.Certificate()).String()
	for name, tt := range map[string]struct {
		proxy, authority, pin string
		tunnels               int
		want                  string
	}{
		"to a pinned server":      {"kedge:s3cret@" + proxy, authority, pin, 4, "reached build.invalid"},
		"to another server":       {"kedge:s3cret@" + proxy, authority, "sha256:" + strings.Repeat("A", 43) + "=", 4, "the server's key is " + pin},
		"without the password":    {proxy, authority, pin, 0, "proxy https://" + proxy + " wants a user and a password"},
		"that nobody vouches for": {"kedge:s3cret@" + proxy, os.DevNull, pin, 0, "proxy https://" + proxy + ": tls: failed to verify certificate: x509: certificate signed by unknown authority"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAProxyThatSpeaksTLS$", "-test.v")
			cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+tt.authority, "SSL_CERT_DIR="+t.TempDir(),
				"KEDGE_TEST_PROXY=https://"+tt.proxy, "KEDGE_TEST_PIN="+tt.pin, "HTTPS_PROXY=https://"+tt.proxy, "NO_PROXY=")
			out, err := cmd.CombinedOutput()
			if err != nil || strings.Count(string(out), tt.want) != 4 || strings.Contains(string(out), "s3cret") {
				t.Errorf("%v, %s; want %q four times, and no password", err, out, tt.want)
			}
			tunnels := 0
			for ; len(asked) > 0; tunnels++ {
				if got := <-asked; got != "build.invalid:443" {
					t.Errorf("asked for %q", got)
				}
			}
			if tunnels != tt.tunnels {
				t.Errorf("%d tunnels, want %d", tunnels, tt.tunnels)
			}
		})
	}
}

// goThrough says what becomes of a request for build.invalid: as for NATS and as for
// HTTP, with the proxy of the configuration and with that of the environment.
func goThrough(t *testing.T, proxy, pin string) {
	t.Helper()
	p, err := proto.ParsePin(pin)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []outbound.Options{{Proxy: proxy, Pins: []proto.Pin{p}}, {Pins: []proto.Pin{p}}} {
		transport, err := o.Transport()
		if err != nil {
			t.Fatal(err)
		}
		said, err := ask(t.Context(), transport)
		t.Log(said, err)
		said, err = ask(t.Context(), &http.Transport{DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			trust, err := o.TLS()
			if err != nil {
				return nil, err
			}
			conn, err := o.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			secure := tls.Client(conn, trust)
			return secure, secure.HandshakeContext(ctx)
		}})
		t.Log(said, err)
	}
}

// ask returns what build.invalid answers.
func ask(ctx context.Context, transport *http.Transport) (string, error) {
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://build.invalid/", http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// startSecured stands before a proxy and speaks TLS. It returns the file of the authority
// that vouches for it, too.
func startSecured(t *testing.T, proxy string) (address, authority string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	authority = filepath.Join(t.TempDir(), "authority.pem")
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go pipe(conn, proxy)
		}
	}()
	return l.Addr().String(), authority
}

// pipe brings what comes from conn to an address, and back.
func pipe(conn net.Conn, address string) {
	defer conn.Close()
	to, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer to.Close()
	go func() {
		_, _ = io.Copy(to, conn)
		_ = to.Close()
	}()
	_, _ = io.Copy(conn, to)
}
