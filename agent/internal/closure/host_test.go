//go:build host

package closure

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kedge/internal/nix"
	"kedge/proto"
)

// These tests run the real Nix in whatever system they are started in, which
// must be a test host or a chroot of one. They hold the reasons against what
// that version of Nix really says.

const testExpression = `
let
  make = name: deps: derivation {
    inherit name deps;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    PATH = "/usr/bin:/bin";
    args = [ "-c" "mkdir $out; echo $deps > $out/deps; head -c 3000000 /dev/urandom > $out/random" ];
  };
in make "fetched" [ (make "dependency" [ ]) ]
`

// A realCache is a binary cache that has one closure, which the host has not.
type realCache struct {
	dir      string
	server   *httptest.Server
	key      proto.SecretKey
	toplevel proto.StorePath
	closure  proto.Closure // of it and of what it refers to, one path
	digest   proto.Digest
}

func newRealCache(t *testing.T, cli *nix.CLI) *realCache {
	t.Helper()
	file := filepath.Join(t.TempDir(), "test.nix")
	if err := os.WriteFile(file, []byte(testExpression), 0o600); err != nil {
		t.Fatal(err)
	}
	built := command(t, "nix-build", "--no-out-link", file)
	c := &realCache{dir: t.TempDir(), toplevel: parse(t, built)}
	var err error
	if c.key, err = proto.GenerateKey("cache-1", rand.Reader); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(c.key.Reveal()), 0o600); err != nil {
		t.Fatal(err)
	}
	closure, err := cli.Closure(t.Context(), c.toplevel)
	if err != nil {
		t.Fatal(err)
	}
	c.closure, c.digest = closure, closure.Digest()
	err = cli.Copy(t.Context(), nix.CopyOptions{To: "file://" + c.dir + "?compression=zstd&secret-key=" + secret, Paths: []proto.StorePath{c.toplevel}})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []proto.StorePath{c.toplevel, closure[0].Path, closure[1].Path} {
		command(t, "nix-store", "--delete", "--ignore-liveness", p.String())
	}
	c.server = httptest.NewServer(http.FileServer(http.Dir(c.dir)))
	t.Cleanup(c.server.Close)
	return c
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "HOME=/root")
	out, err := cmd.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("%s %q: %v: %s", name, args, err, exit.Stderr)
		}
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func TestRealFetch(t *testing.T) {
	foreign, err := proto.GenerateKey("foreign-1", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		spoil  func(t *testing.T, c *realCache, o *FetchOrder)
		reason proto.Reason
	}{
		{"good", func(*testing.T, *realCache, *FetchOrder) {}, ""},
		{"from the second cache", func(_ *testing.T, c *realCache, o *FetchOrder) {
			o.Caches = []string{"http://127.0.0.1:1", "http://no-such-host.invalid", c.server.URL}
		}, ""},
		{"foreign key", func(_ *testing.T, _ *realCache, o *FetchOrder) { o.TrustedKeys = []proto.PublicKey{foreign.Public()} }, proto.ReasonUntrustedPath},
		{"nobody listens", func(_ *testing.T, _ *realCache, o *FetchOrder) { o.Caches = []string{"http://127.0.0.1:1"} }, proto.ReasonCacheUnreachable},
		{"no such name", func(_ *testing.T, _ *realCache, o *FetchOrder) { o.Caches = []string{"http://no-such-host.invalid"} }, proto.ReasonCacheUnreachable},
		{"out of order", func(t *testing.T, _ *realCache, o *FetchOrder) {
			o.Caches = []string{serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })}
		}, proto.ReasonCacheUnreachable},
		{"not there", func(t *testing.T, c *realCache, _ *FetchOrder) { remove(t, c, c.toplevel.Hash()+".narinfo") }, proto.ReasonFetchFailed},
		{"part of it is not there", func(t *testing.T, c *realCache, _ *FetchOrder) { remove(t, c, "nar/*") }, proto.ReasonFetchFailed},
		{"other bytes", func(t *testing.T, c *realCache, _ *FetchOrder) { swapBytes(t, c) }, proto.ReasonDigestMismatch},
		{"not what was signed", func(_ *testing.T, _ *realCache, o *FetchOrder) { o.Closure = proto.DigestOf([]byte("x")) }, proto.ReasonDigestMismatch},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cli := &nix.CLI{CacheDir: t.TempDir()}
			c := newRealCache(t, cli)
			o := FetchOrder{Toplevel: c.toplevel, Closure: c.digest, Caches: []string{c.server.URL}, TrustedKeys: []proto.PublicKey{c.key.Public()}}
			tt.spoil(t, c, &o)
			requireReal(t, fetcher(t, cli), o, tt.reason)
		})
	}
}

// TestRealSlowCache fetches from a cache that describes every path and delivers
// none, with and without another cache.
func TestRealSlowCache(t *testing.T) {
	for name, slow := range map[string]func(w http.ResponseWriter, r *http.Request, archive []byte){
		"says nothing after its headers": func(_ http.ResponseWriter, r *http.Request, _ []byte) { <-r.Context().Done() },
		"trickles":                       trickle,
	} {
		t.Run(name, func(t *testing.T) {
			cli := &nix.CLI{CacheDir: t.TempDir(), Settings: []nix.Setting{{Name: "stalled-download-timeout", Value: "2"}}}
			c := newRealCache(t, cli)
			o := FetchOrder{Toplevel: c.toplevel, Closure: c.digest, Caches: []string{serve(t, c.slow(slow))}, TrustedKeys: []proto.PublicKey{c.key.Public()}}
			f := fetcher(t, cli)
			if name == "trickles" { // which nothing ends but this
				f.Timeout = 5 * time.Second
			}
			requireReal(t, f, o, proto.ReasonCacheUnreachable)
			o.Caches = append(o.Caches, c.server.URL)
			requireReal(t, f, o, "")
		})
	}
}

// slow returns a handler that serves c, but for archives, of which it sends
// headers and then what rest sends.
func (c *realCache) slow(rest func(w http.ResponseWriter, r *http.Request, archive []byte)) http.HandlerFunc {
	files := http.FileServer(http.Dir(c.dir))
	return func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/nar/") {
			files.ServeHTTP(w, r)
			return
		}
		archive, err := os.ReadFile(filepath.Join(c.dir, path.Clean(r.URL.Path)))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(archive)))
		if err := http.NewResponseController(w).Flush(); err == nil {
			rest(w, r, archive)
		}
	}
}

// trickle sends a few bytes a second, until nobody wants them any more.
func trickle(w http.ResponseWriter, r *http.Request, archive []byte) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for i := range archive {
		_, err := w.Write(archive[i : i+1])
		if err = errors.Join(err, http.NewResponseController(w).Flush()); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

// TestRealDirectFetch fetches through the real nix-daemon, which believes
// everything.
func TestRealDirectFetch(t *testing.T) {
	foreign, err := proto.GenerateKey("foreign-1", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		keys   func(proto.SecretKey) []proto.PublicKey
		direct bool
		reason proto.Reason
	}{
		{"good", func(k proto.SecretKey) []proto.PublicKey { return []proto.PublicKey{foreign.Public(), k.Public()} }, true, ""},
		{"foreign key", func(proto.SecretKey) []proto.PublicKey { return []proto.PublicKey{foreign.Public()} }, false, proto.ReasonUntrustedPath},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cli := &nix.CLI{CacheDir: t.TempDir()}
			c := newRealCache(t, cli)
			daemon := startDaemon(t)
			f, left := fetcher(t, cli), 0
			f.Transport = Direct{
				Begin: func(ctx context.Context, keys []proto.PublicKey) (Import, error) { return daemon.Import(ctx, keys) },
				Rest: transportFunc(func(ctx context.Context, cache string, o FetchOrder) (proto.Closure, error) {
					left++
					return Substitution{Nix: cli}.Bring(ctx, cache, o)
				}),
				Client: (&Ways{}).Client(), Log: f.Log,
			}
			o := FetchOrder{Toplevel: c.toplevel, Closure: c.digest, Caches: []string{c.server.URL}, TrustedKeys: tt.keys(c.key)}
			requireReal(t, f, o, tt.reason)
			if direct := left == 0; direct != tt.direct {
				t.Errorf("direct: got %t, want %t", direct, tt.direct)
			}
		})
	}
}

type transportFunc func(ctx context.Context, cache string, o FetchOrder) (proto.Closure, error)

// Bring implements Transport.
func (f transportFunc) Bring(ctx context.Context, cache string, o FetchOrder) (proto.Closure, error) {
	return f(ctx, cache, o)
}

// startDaemon starts a nix-daemon of the test's own.
func startDaemon(t *testing.T) nix.Daemon {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "socket")
	cmd := exec.CommandContext(t.Context(), "nix-daemon")
	cmd.Env = append(os.Environ(), "HOME=/root", "NIX_DAEMON_SOCKET_PATH="+socket, "NIX_CONFIG=require-sigs = false")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // it was interrupted
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		if conn, err := net.Dial("unix", socket); err == nil { //nolint:noctx // it answers at once
			_ = conn.Close() // nothing was written
			return nix.Daemon{Socket: socket}
		}
		select {
		case <-again.C:
		case <-t.Context().Done():
			t.Fatal("nix-daemon does not listen")
		}
	}
}

// TestRealFullDisk fetches into a store that is too small.
func TestRealFullDisk(t *testing.T) {
	cli := &nix.CLI{CacheDir: t.TempDir()}
	c := newRealCache(t, cli)
	small := t.TempDir()
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=4m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(small, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	cli.Settings = []nix.Setting{{Name: "store", Value: "local?root=" + small}}
	o := FetchOrder{Toplevel: c.toplevel, Closure: c.digest, Caches: []string{c.server.URL}, TrustedKeys: []proto.PublicKey{c.key.Public()}}
	requireReal(t, fetcher(t, cli), o, proto.ReasonDiskFull)
}

func fetcher(t *testing.T, cli *nix.CLI) Fetcher {
	return Fetcher{
		Transport: Substitution{Nix: cli}, Store: cli, Roots: Roots{Dir: filepath.Join(t.TempDir(), "gcroots")},
		Timeout: time.Minute, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
}

func requireReal(t *testing.T, f Fetcher, o FetchOrder, want proto.Reason) {
	t.Helper()
	err := f.Fetch(t.Context(), o)
	t.Log(err)
	var r *Rejection
	if want == "" && err != nil || want != "" && (!errors.As(err, &r) || r.Reason != want) {
		t.Errorf("got %v, want reason %q", err, want)
	}
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// remove removes one file of the cache.
func remove(t *testing.T, c *realCache, pattern string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(c.dir, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v, %v", pattern, files, err)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
}

// swapBytes makes the cache serve each path's bytes under the other's name.
func swapBytes(t *testing.T, c *realCache) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(c.dir, "nar/*"))
	if err != nil || len(files) != 2 {
		t.Fatalf("%v, %v", files, err)
	}
	temp := filepath.Join(c.dir, "swapped")
	for _, err := range []error{os.Rename(files[0], temp), os.Rename(files[1], files[0]), os.Rename(temp, files[1])} {
		if err != nil {
			t.Fatal(err)
		}
	}
}
