package closure

import (
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"kedge/internal/nix"
	"kedge/proto"
	"kedge/proto/outbound"
)

const archive = "0123456789"

// A cacheServer is a cache with TLS, with one archive.
type cacheServer struct {
	*httptest.Server
	asked chan string // the Authorization of every request
}

// startCache starts a cache that asks for a token, or for none.
func startCache(t *testing.T, token string) *cacheServer {
	t.Helper()
	c := &cacheServer{asked: make(chan string, 100)}
	c.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.asked <- r.Header.Get("Authorization")
		switch {
		case token != "" && r.Header.Get("Authorization") != "Bearer "+token:
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/cache/nar/x.nar":
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(archive))
		default:
			http.NotFound(w, r)
		}
	}))
	c.Config.ErrorLog = log.New(io.Discard, "", 0)
	c.EnableHTTP2 = true
	c.StartTLS()
	t.Cleanup(c.Close)
	return c
}

func (c *cacheServer) cache() string { return c.URL + "/cache" }

// startRelay starts a relay to a cache.
func startRelay(t *testing.T, w *Ways, cache string) *relay {
	t.Helper()
	u, err := url.Parse(cache)
	if err != nil {
		t.Fatal(err)
	}
	if w.straight(u) {
		t.Fatalf("Nix goes to %s by itself", cache)
	}
	r, err := openRelay(t.Context(), w, u)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	return r
}

// read reads from a URL as Nix does.
func read(t *testing.T, from string, header http.Header) (code int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, from, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func token(t *testing.T) proto.CacheToken {
	t.Helper()
	tk, err := proto.ParseCacheToken("web1.1790000000.c2VjcmV0")
	if err != nil {
		t.Fatal(err)
	}
	return tk
}

func pins(s *cacheServer) outbound.Options {
	return outbound.Options{Pins: []proto.Pin{proto.PinOf(s.Certificate())}}
}

func TestNixReachesThePrivateCacheByARelay(t *testing.T) {
	tk := token(t)
	server := startCache(t, tk.Reveal())
	w := &Ways{Outbound: pins(server)}
	w.Assigned([]string{server.cache() + "/"}, tk)
	r := startRelay(t, w, server.cache()+"/")
	if code, text := read(t, r.url+"/nar/x.nar", nil); code != http.StatusOK || text != archive {
		t.Errorf("got %d %q, want %q", code, text, archive)
	}
	if code, text := read(t, r.url+"/nar/x.nar", http.Header{"Range": {"bytes=4-"}}); code != http.StatusPartialContent || text != archive[4:] {
		t.Errorf("the rest: got %d %q, want %q", code, text, archive[4:])
	}
	if code, _ := read(t, r.url+"/x.narinfo", nil); code != http.StatusNotFound {
		t.Errorf("a path that is not there: got %d", code)
	}
	if err := r.explain(errNothing); !errors.Is(err, errNothing) || err.Error() != errNothing.Error() {
		t.Errorf("explained as %v, want what Nix says alone", err)
	}
	// Other users of this host do not know the secret.
	u, err := url.Parse(r.url)
	if err != nil {
		t.Fatal(err)
	}
	if code, _ := read(t, "http://"+u.Host+"/nar/x.nar", nil); code != http.StatusNotFound {
		t.Errorf("without the secret: got %d", code)
	}
}

var errNothing = errors.New("nothing was brought")

func TestTheTokenIsForTheCachesOfTheAssignmentAlone(t *testing.T) {
	tk := token(t)
	own := startCache(t, "")
	elsewhere := make(chan string, 1)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		elsewhere <- r.Header.Get("Authorization")
		_, _ = io.WriteString(w, archive)
	}))
	defer other.Close()
	redirecting := httptest.NewServer(http.RedirectHandler(other.URL+"/cache/nar/x.nar", http.StatusFound))
	defer redirecting.Close()
	w := &Ways{Outbound: outbound.Options{Pins: []proto.Pin{proto.PinOf(own.Certificate())}}}

	t.Run("another cache, through a relay", func(t *testing.T) {
		w := &Ways{Outbound: w.Outbound}
		w.Outbound.Proxy = "http://proxy.invalid" // which is not asked about the loopback
		w.Assigned([]string{own.cache()}, tk)
		if code, _ := read(t, startRelay(t, w, other.URL+"/cache").url+"/nar/x.nar", nil); code != http.StatusOK {
			t.Fatalf("got %d", code)
		}
		if got := <-elsewhere; got != "" {
			t.Errorf("it was shown %q", got)
		}
	})
	t.Run("a redirect to another host", func(t *testing.T) {
		w.Assigned([]string{redirecting.URL + "/cache"}, tk)
		r := startRelay(t, w, redirecting.URL+"/cache")
		if code, text := read(t, r.url+"/nar/x.nar", nil); code != http.StatusOK || text != archive {
			t.Fatalf("got %d %q", code, text)
		}
		if got := <-elsewhere; got != "" {
			t.Errorf("it was shown %q", got)
		}
	})
	t.Run("the rest of the same host", func(t *testing.T) {
		w.Assigned([]string{own.cache()}, tk)
		for path, want := range map[string]bool{"/cache/x": true, "/cache": true, "/cacheless/x": false, "/": false} {
			u, err := url.Parse(own.URL + path)
			if err != nil {
				t.Fatal(err)
			}
			if got := !w.passFor(u).IsZero(); got != want {
				t.Errorf("%s is shown the token: %t, want %t", path, got, want)
			}
		}
	})
}

func TestNixGoesByItselfWhereItCan(t *testing.T) {
	own := "https://build.example/cache"
	tk := token(t)
	pinned := outbound.Options{Pins: make([]proto.Pin, 1)}
	for name, tt := range map[string]struct {
		o     outbound.Options
		own   []string
		token proto.CacheToken
		cache string
		want  bool
	}{
		"a cache of the world":            {pinned, []string{own}, tk, "https://cache.nixos.org", true},
		"the controller's, open to all":   {outbound.Options{}, []string{own}, proto.CacheToken{}, own, true},
		"the controller's, private":       {outbound.Options{}, []string{own}, tk, own, false},
		"the controller's, with its pin":  {pinned, []string{own}, proto.CacheToken{}, own, false},
		"through the configuration's way": {outbound.Options{Proxy: "http://proxy"}, nil, proto.CacheToken{}, "https://cache.nixos.org", false},
	} {
		w := &Ways{Outbound: tt.o}
		w.Assigned(tt.own, tt.token)
		u, err := url.Parse(tt.cache)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.straight(u); got != tt.want {
			t.Errorf("%s: Nix goes by itself: %t, want %t", name, got, tt.want)
		}
	}
}

func TestWhatStandsInTheWayIsSaid(t *testing.T) {
	tk := token(t)
	private := startCache(t, "another.token")
	for name, tt := range map[string]struct {
		o     outbound.Options
		cache string
		code  int
		want  string
	}{
		"a token that is not accepted": {pins(private), private.cache(), http.StatusUnauthorized, "it does not let this host in (401 Unauthorized)"},
		"another key":                  {outbound.Options{Pins: make([]proto.Pin, 1)}, private.cache(), http.StatusBadGateway, "the server's key is " + proto.PinOf(private.Certificate()).String()},
		"nobody there":                 {outbound.Options{}, "http://127.0.0.1:1/cache", http.StatusBadGateway, "connection refused"},
		"a proxy that refuses":         {outbound.Options{Proxy: strings.Replace(refusingProxy(t), "http://", "http://u:p4ss@", 1)}, "https://build.invalid/cache", http.StatusBadGateway, "does not connect to build.invalid:443: 403 Forbidden"},
	} {
		t.Run(name, func(t *testing.T) {
			w := &Ways{Outbound: tt.o}
			w.Assigned([]string{tt.cache}, tk)
			r := startRelay(t, w, tt.cache)
			if code, text := read(t, r.url+"/nar/x.nar", nil); code != tt.code {
				t.Errorf("got %d %q, want %d", code, text, tt.code)
			}
			nixSays := &nix.CommandError{Args: []string{"nix-store"}, ExitCode: 1, Stderr: "error: unable to download '" + r.url + "/nar/x.nar': HTTP error " + http.StatusText(tt.code)}
			text := r.explain(nixSays).Error()
			if !strings.Contains(text, tt.want) || !strings.Contains(nixSays.Stderr, tt.cache+"/nar/x.nar") {
				t.Errorf("explained as %q, %q; want %q and the cache's own name", text, nixSays.Stderr, tt.want)
			}
			for _, s := range []string{tk.Reveal(), "p4ss", r.url} {
				if strings.Contains(text, s) {
					t.Errorf("%q holds %q", text, s)
				}
			}
		})
	}
}

// refusingProxy starts an HTTP proxy that connects to nobody.
func refusingProxy(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	t.Cleanup(s.Close)
	return s.URL
}
