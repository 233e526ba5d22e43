package check

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"kedge/agent/internal/deployment"
)

var contains = strings.Contains

// site answers as these tests want it.
func site(t *testing.T) http.Handler {
	t.Helper()
	mux := http.NewServeMux()
	answer := func(path string, status int, body string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		})
	}
	answer("/good", http.StatusOK, "status: ok\n")
	answer("/bad", http.StatusServiceUnavailable, "status: no database\n")
	answer("/late", http.StatusOK, strings.Repeat(" ", bodyLimit)+"status: ok")
	answer("/long", http.StatusOK, strings.Repeat("\x1b", bodyLimit))
	mux.Handle("/moved", http.RedirectHandler("/good", http.StatusFound))
	mux.Handle("/lost", http.RedirectHandler("/bad", http.StatusFound))
	mux.Handle("/round", http.RedirectHandler("/round", http.StatusFound))
	mux.HandleFunc("/told", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %q", r.Method, r.Host, r.Header["X-Probe"])
	})
	mux.HandleFunc("/hangs", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	return mux
}

func TestHTTP(t *testing.T) {
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	s := httptest.NewServer(site(t))
	t.Cleanup(s.Close)
	for _, tt := range []struct {
		name  string
		check deployment.HTTPCheck // with the path for a URL
		want  string
	}{
		{"good", deployment.HTTPCheck{URL: "/good"}, ""},
		{"bad", deployment.HTTPCheck{URL: "/bad"}, "/bad: status 503 Service Unavailable"},
		{"expected to be bad", deployment.HTTPCheck{URL: "/bad", Status: []int{500, 503}}, ""},
		{"expected otherwise", deployment.HTTPCheck{URL: "/good", Status: []int{204}}, "status 200 OK"},
		{"redirected to what is good", deployment.HTTPCheck{URL: "/moved", Body: "ok"}, ""},
		{"redirected to what is bad", deployment.HTTPCheck{URL: "/lost"}, "status 503"},
		{"expected to be redirected", deployment.HTTPCheck{URL: "/lost", Status: []int{302}}, ""},
		{"redirected for ever", deployment.HTTPCheck{URL: "/round"}, "more than 10 redirects"},
		{"body matches", deployment.HTTPCheck{URL: "/good", Body: "^status: ok$|(?m)^status: ok$"}, ""},
		{"body does not match", deployment.HTTPCheck{URL: "/good", Body: "^ok$"}, `body does not match "^ok$": "status: ok\n"`},
		{"body matches too late", deployment.HTTPCheck{URL: "/late", Body: "ok"}, `body does not match "ok"`},
		{"body that does not match is long", deployment.HTTPCheck{URL: "/long", Body: "ok"}, `\x1b`},
		{"headers", deployment.HTTPCheck{
			URL: "/told", Headers: []deployment.HTTPHeader{{Name: "host", Value: "app.example.org"}, {Name: "x-probe", Value: "kedge"}},
			Body: `^GET app\.example\.org \["kedge"\]$`,
		}, ""},
		{"no server of HTTP", deployment.HTTPCheck{URL: closedPort(t)}, "connection refused"},
		{"bad pattern in a record", deployment.HTTPCheck{URL: "/good", Body: "("}, "body: error parsing regexp"},
		{"bad URL in a record", deployment.HTTPCheck{URL: ":"}, "missing protocol scheme"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if strings.HasPrefix(tt.check.URL, "/") {
				// A proxy would not be asked for a loopback address.
				tt.check.URL = strings.Replace(s.URL, "127.0.0.1", "0.0.0.0", 1) + tt.check.URL
			} else if tt.check.URL != ":" {
				tt.check.URL = "http://" + tt.check.URL
			}
			requireResult(t, &Runner{}, deployment.Check{HTTP: &tt.check}, tt.want)
		})
	}
}

func TestHTTPEndsAtItsTimeout(t *testing.T) {
	s := httptest.NewServer(site(t))
	t.Cleanup(s.Close)
	c := deployment.Check{HTTP: &deployment.HTTPCheck{URL: s.URL + "/hangs"}, Timeout: 200 * time.Millisecond}
	requireResult(t, &Runner{}, c, "not decided within 200ms")
}

func TestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(site(t))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	dir := t.TempDir()
	ca, other, empty := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "other.pem"), filepath.Join(dir, "empty.pem")
	for file, b := range map[string][]byte{ca: inPEM(s.Certificate().Raw), other: inPEM(otherAuthority(t)), empty: nil} {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name  string
		check deployment.HTTPCheck
		want  string
	}{
		{"an authority that nobody trusts", deployment.HTTPCheck{}, "x509: certificate signed by unknown authority"},
		{"an authority of the check's own", deployment.HTTPCheck{CAFile: ca}, ""},
		{"another authority", deployment.HTTPCheck{CAFile: other}, "x509: certificate signed by unknown authority"},
		{"insecure", deployment.HTTPCheck{Insecure: true}, ""},
		{"a file that is not there", deployment.HTTPCheck{CAFile: ca + "x"}, "ca_file: open"},
		{"a file without a certificate", deployment.HTTPCheck{CAFile: empty}, "has no certificate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.check.URL = s.URL + "/good"
			requireResult(t, &Runner{}, deployment.Check{HTTP: &tt.check}, tt.want)
		})
	}
}

func inPEM(certificate []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
}

// otherAuthority is one that signed nothing.
func otherAuthority(t *testing.T) []byte {
	t.Helper()
	public, secret, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	certificate, err := x509.CreateCertificate(nil, &template, &template, public, secret)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func TestTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	requireResult(t, &Runner{}, deployment.Check{TCP: l.Addr().String()}, "")
	closed := closedPort(t)
	requireResult(t, &Runner{}, deployment.Check{TCP: closed}, "connect to "+closed+": dial tcp "+closed+": connect: connection refused")
}

// closedPort is an address that nobody listens at until the test ends: its port
// is taken.
func closedPort(t *testing.T) string {
	t.Helper()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(socket) })
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(socket)
	if err != nil {
		t.Fatal(err)
	}
	address, ok := bound.(*syscall.SockaddrInet4)
	if !ok {
		t.Fatalf("bound to %v", bound)
	}
	return fmt.Sprintf("127.0.0.1:%d", address.Port)
}
