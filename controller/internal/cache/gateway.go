package cache

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"kedge/internal/nix"
	"kedge/proto"
)

// A gateway is a binary cache over HTTP, for this machine alone, that is a bucket. Nix
// copies into it without knowing the bucket's credentials: it has a password, for as long
// as it copies.
type gateway struct {
	bucket   *bucket
	password string
	refusal  atomic.Pointer[string] // what S3 last did that was no yes, which Nix does not say
}

const (
	gatewayUser = "kedge"
	// gatewayHeader is how long Nix may take to say what it wants.
	gatewayHeader = time.Minute
)

// copyToBucket has Nix copy the closures of systems into the bucket of target, which to is
// the URL of.
func (o *Outside) copyToBucket(ctx context.Context, target Target, to string, systems []proto.StorePath) (err error) {
	b, err := target.bucket(o.client, o.now)
	if err != nil {
		return err
	}
	g := &gateway{bucket: b, password: rand.Text()}
	dir, err := os.MkdirTemp("", "kedge-s3-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: g, ReadHeaderTimeout: gatewayHeader, ErrorLog: slog.NewLogLogger(o.log.Handler(), slog.LevelDebug)}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) }) // Nix says that nobody answers
	defer serving.Wait()
	defer server.Close()
	netrc := filepath.Join(dir, "netrc")
	if err := os.WriteFile(netrc, fmt.Appendf(nil, "machine 127.0.0.1 login %s password %s\n", gatewayUser, g.password), 0o600); err != nil {
		return err
	}
	here, err := gatewayURL(to, listener.Addr().String())
	if err != nil {
		return err
	}
	// Nix must not know, by the port, what another gateway had there before.
	err = o.nix.Copy(ctx, nix.CopyOptions{To: here, NetrcFile: netrc, Direct: true, CacheDir: dir, Paths: systems})
	if why := g.refusal.Load(); err != nil && why != nil {
		return fmt.Errorf("the bucket %s: %w", *why, err)
	}
	return err
}

// gatewayURL returns that of the gateway at an address, with those parameters of an s3 URL
// that are about the binary cache.
func gatewayURL(s3, address string) (string, error) {
	u, err := url.Parse(s3)
	if err != nil {
		return "", err
	}
	query := u.Query()
	for name := range query {
		if slices.Contains(bucketParameters(), name) {
			query.Del(name)
		}
	}
	return (&url.URL{Scheme: "http", Host: address, RawQuery: query.Encode()}).String(), nil
}

// ServeHTTP implements [http.Handler].
func (g *gateway) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	_, password, _ := req.BasicAuth()
	switch {
	case subtle.ConstantTimeCompare([]byte(password), []byte(g.password)) != 1:
		w.Header().Set("WWW-Authenticate", `Basic realm="kedge"`)
		http.Error(w, "this is for one Nix alone", http.StatusUnauthorized)
		return
	case !slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodPut}, req.Method):
		http.Error(w, "a cache is read and written", http.StatusMethodNotAllowed)
		return
	case req.ContentLength < 0:
		http.Error(w, "S3 takes nothing of unknown length", http.StatusLengthRequired)
		return
	}
	resp, err := g.bucket.do(req.Context(), req.Method, strings.TrimPrefix(req.URL.Path, "/"), req.Body, req.ContentLength, req.Header)
	if err != nil {
		why := "does not answer: " + err.Error()
		if req.Context().Err() == nil { // Nix has not gone meanwhile
			g.refusal.Store(&why)
		}
		http.Error(w, why, http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusMultipleChoices && resp.StatusCode != http.StatusNotFound {
		http.Error(w, g.refused(resp), resp.StatusCode)
		return
	}
	for _, name := range []string{"Content-Type", "Content-Encoding", "Content-Length", "Content-Range"} {
		if value := resp.Header.Get(name); value != "" {
			w.Header().Set(name, value)
		}
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body) // Nix sees itself that it was cut short
}

// errorCode is what S3 calls what is wrong, in the document that says so.
var errorCode = regexp.MustCompile(`<Code>([A-Za-z0-9]+)</Code>`)

// refused returns, and remembers, why S3 did not do something.
func (g *gateway) refused(resp *http.Response) string {
	why := "answered " + resp.Status
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxNarInfo))
	if code := errorCode.FindSubmatch(text); err == nil && code != nil {
		why += ", " + string(code[1])
	}
	g.refusal.Store(&why)
	return why
}
