package outbound_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"log"
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

// greeting is what a server says first, as NATS does.
const greeting = "INFO {}\r\n"

// startServer starts a server that greets everybody, and returns its address.
func startServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
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
			_, _ = io.WriteString(conn, greeting)
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}

// startProxy starts an HTTP proxy that brings everybody who says the password to
// server, wherever they want to go, and tells asked where that was.
func startProxy(t *testing.T, server, password string) (address string, asked <-chan string) {
	t.Helper()
	hosts := make(chan string, 10)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		want := "Basic " + base64.StdEncoding.EncodeToString([]byte("kedge:"+password))
		switch {
		case password != "" && r.Header.Get("Proxy-Authorization") != want:
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		case r.Method != http.MethodConnect || server == "":
			w.WriteHeader(http.StatusForbidden)
			return
		}
		hosts <- r.Host
		upstream, err := net.Dial("tcp", server)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer upstream.Close()
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		// In one piece with the server's first words.
		first := make([]byte, 512)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n")
		go func() { _, _ = io.Copy(upstream, conn) }()
		n, _ := upstream.Read(first)
		_, _ = conn.Write(first[:n])
		_, _ = io.Copy(conn, upstream)
	}))
	t.Cleanup(proxy.Close)
	return proxy.Listener.Addr().String(), hosts
}

func TestDialGoesThroughTheProxy(t *testing.T) {
	proxy, asked := startProxy(t, startServer(t), "s3cret")
	file := filepath.Join(t.TempDir(), "proxy")
	if err := os.WriteFile(file, []byte("http://kedge:s3cret@"+proxy+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]outbound.Options{
		"of the configuration": {Proxy: "http://kedge:s3cret@" + proxy},
		"of a file":            {ProxyFile: file},
	} {
		conn, err := o.DialContext(t.Context(), "tcp", "build.example:4222")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		said, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || said != greeting {
			t.Errorf("%s: the server said %q, %v; want %q", name, said, err, greeting)
		}
		_ = conn.Close()
		if got := <-asked; got != "build.example:4222" {
			t.Errorf("%s: asked for %q", name, got)
		}
	}
}

func TestWhatAProxyRefusesIsSaid(t *testing.T) {
	ok, _ := startProxy(t, startServer(t), "s3cret")
	refuses, _ := startProxy(t, "", "")
	noProxy := startServer(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for name, tt := range map[string]struct{ proxy, want string }{
		"no password":    {"http://" + ok, "wants a user and a password"},
		"wrong password": {"http://kedge:wr0ng@" + ok, "does not accept the user or the password"},
		"not allowed":    {"http://" + refuses, "does not connect to build.example:443: 403 Forbidden"},
		"no HTTP proxy":  {"http://kedge:wr0ng@" + noProxy, "its answer is none of an HTTP proxy"},
		"nobody there":   {"http://kedge:wr0ng@127.0.0.1:1", "connection refused"},
		"silence":        {"http://kedge:wr0ng@" + silent.Addr().String(), "did not answer in time"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if name != "silence" {
				ctx = t.Context()
			}
			o := outbound.Options{Proxy: tt.proxy}
			_, err := o.DialContext(ctx, "tcp", "build.example:443")
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "wr0ng") {
				t.Errorf("the error holds the password: %v", err)
			}
		})
	}
}

func TestDirectHostsAreReachedWithoutTheProxy(t *testing.T) {
	server := startServer(t)
	_, port, err := net.SplitHostPort(server)
	if err != nil {
		t.Fatal(err)
	}
	o := outbound.Options{Proxy: "http://127.0.0.1:1", Direct: []string{"internal.example", "10.0.0.0/8"}}
	conn, err := o.DialContext(t.Context(), "tcp", "localhost:"+port)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	for address, direct := range map[string]bool{
		"internal.example:1": true, "web.Internal.example.:1": true, "notinternal.example:1": false, "10.1.2.3:1": true, "11.1.2.3:1": false,
	} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // nothing is really reached
		_, err := o.DialContext(ctx, "tcp", address)
		if viaProxy := strings.HasPrefix(err.Error(), "proxy "); viaProxy == direct {
			t.Errorf("%s: error = %v, want direct: %t", address, err, direct)
		}
	}
}

// TestTheEnvironmentNamesTheProxy runs itself, as the environment is read once.
func TestTheEnvironmentNamesTheProxy(t *testing.T) {
	if address := os.Getenv("KEDGE_TEST_ADDRESS"); address != "" {
		_, err := outbound.Options{}.DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Log(err)
		}
		return
	}
	refuses, _ := startProxy(t, "", "")
	for name, tt := range map[string]struct {
		proxy, noProxy string
		want           string
	}{
		"a proxy":      {"http://kedge:s3cret@" + refuses, "", "does not connect to build.invalid:4222"},
		"an exception": {"http://kedge:s3cret@" + refuses, ".invalid", "lookup build.invalid"},
		"another kind": {"socks5://kedge:s3cret@" + refuses, "", "must be the URL of an HTTP proxy"},
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTheEnvironmentNamesTheProxy$", "-test.v")
		cmd.Env = append(os.Environ(), "KEDGE_TEST_ADDRESS=build.invalid:4222", "HTTPS_PROXY="+tt.proxy, "NO_PROXY="+tt.noProxy)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), tt.want) || strings.Contains(string(out), "s3cret") {
			t.Errorf("%s: %v, %s; want %q, and no password", name, err, out, tt.want)
		}
	}
}

func TestWhomTLSTrusts(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	if l, err := net.Listen("tcp", "0.0.0.0:0"); err != nil {
		t.Fatal(err)
	} else {
		_ = server.Listener.Close()
		server.Listener = l
	}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	authority := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	pin := proto.PinOf(server.Certificate())
	other, err := proto.ParsePin("sha256:" + strings.Repeat("A", 43) + "=")
	if err != nil {
		t.Fatal(err)
	}
	server.URL = strings.Replace(server.URL, "[::]", "127.0.0.1", 1)
	named := strings.Replace(server.URL, "127.0.0.1", "localhost", 1) // which the certificate does not name
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := "https://127.0.0.2:" + port
	for name, tt := range map[string]struct {
		o         outbound.Options
		url, want string
	}{
		"the system":                     {outbound.Options{}, server.URL, "signed by unknown authority"},
		"its authority":                  {outbound.Options{CAFile: authority}, server.URL, ""},
		"its authority, another name":    {outbound.Options{CAFile: authority}, named, "not localhost"},
		"its authority, another address": {outbound.Options{CAFile: authority}, elsewhere, "not 127.0.0.2"},
		"its key, another name":          {outbound.Options{Pins: []proto.Pin{other, pin}}, named, ""},
		"another key":                    {outbound.Options{Pins: []proto.Pin{other}}, server.URL, "the server's key is " + pin.String()},
		"no authority":                   {outbound.Options{CAFile: empty}, server.URL, "holds no certificate"},
		"a missing file":                 {outbound.Options{CAFile: empty + "x"}, server.URL, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			transport, err := tt.o.Transport()
			if err != nil {
				if tt.want == "" || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error = %v, want %q", err, tt.want)
				}
				return
			}
			defer transport.CloseIdleConnections()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, tt.url, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := (&http.Client{Transport: transport}).Do(req)
			if err == nil {
				_ = resp.Body.Close()
			}
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestProblems(t *testing.T) {
	o := outbound.Options{Proxy: "socks5://kedge:s3cret@proxy", ProxyFile: "/run/proxy", CAFile: "/ca", Pins: make([]proto.Pin, 1), Direct: []string{"http://x"}}
	text := errors.Join(o.Problems()...).Error()
	for _, want := range []string{"nats.tls.ca_file: must be empty", "proxy.url: must be empty", "proxy.url: must be the URL", "proxy.direct:"} {
		if !strings.Contains(text, want) {
			t.Errorf("problems = %s, want one of %q", text, want)
		}
	}
	if strings.Contains(text, "s3cret") {
		t.Errorf("the problems hold the password: %s", text)
	}
}
