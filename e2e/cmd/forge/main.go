// Command forge serves the git repositories in a folder over HTTPS, by git's own
// program for that, to whoever has the token that a file holds at that time. It tells
// systemd once it listens, and prints a line for each request that it lets in.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// user goes with the token.
const user = "robot"

func main() {
	listen := flag.String("listen", "127.0.0.1:8443", "address to listen on, with an IP")
	root := flag.String("root", "/srv", "folder of the repositories")
	token := flag.String("token", "", "file of the token; required")
	certificate := flag.String("certificate", "", "file that the certificate is written to; required")
	flag.Parse()
	if err := run(*listen, *root, *token, *certificate); err != nil {
		fmt.Fprintln(os.Stderr, "forge:", err)
		os.Exit(1)
	}
}

func run(listen, root, token, certificate string) error {
	programs, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		return fmt.Errorf("find git's programs: %w", err)
	}
	git := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(programs)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1"},
	}
	own, err := selfSigned(listen, certificate)
	if err != nil {
		return err
	}
	l, err := tls.Listen("tcp", listen, &tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12})
	if err != nil {
		return err
	}
	if _, err := daemon.SdNotify(true, daemon.SdNotifyReady); err != nil {
		return fmt.Errorf("tell systemd: %w", err)
	}
	server := http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !letsIn(r, token) {
				w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			_, _ = fmt.Fprintln(os.Stdout, r.Method, r.URL.Path) // the journal may be full
			git.ServeHTTP(w, r)
		}),
	}
	return server.Serve(l)
}

// letsIn reports whether a request has the token that the file holds.
func letsIn(r *http.Request, file string) bool {
	want, err := os.ReadFile(file)
	name, got, shown := r.BasicAuth()
	return err == nil && shown && name == user && got == strings.TrimSpace(string(want))
}

// selfSigned makes a certificate for an address, and writes it for those who are to
// trust it.
func selfSigned(listen, file string) (tls.Certificate, error) {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		IPAddresses:  []net.IP{net.ParseIP(host)},
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
