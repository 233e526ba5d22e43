package closure

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"kedge/proto"
)

func TestFindLogin(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       login
		found      bool
	}{
		{"nothing", "", login{}, false},
		{"one line", "machine cache.example login ada password s3cret", login{"ada", "s3cret"}, true},
		{"a password alone, over lines", "machine cache.example\n\tpassword s3cret\n", login{"", "s3cret"}, true},
		{"the first one counts", "machine cache.example password a\nmachine cache.example password b", login{"", "a"}, true},
		{"another machine", "machine other.example login ada password a", login{}, false},
		{"its own after another", "machine other.example login eve password a machine CACHE.example login ada password b", login{"ada", "b"}, true},
		{"the default", "machine other.example password a\ndefault login guest password b", login{"guest", "b"}, true},
		{"names of words as words", "machine other.example login machine password cache.example\n", login{}, false},
		{"comments and macros", "# machine cache.example password no\nmacdef init\nmachine cache.example password no\n\nmachine cache.example account x password yes # of ada\n", login{"", "yes"}, true},
		{"quotes", `machine cache.example login "ada b" password "a\"b\\c # d"`, login{"ada b", `a"b\c # d`}, true},
		{"cut short", "machine cache.example password", login{}, true},
		{"a quote that does not end", `machine cache.example password "a\`, login{"", `a\`}, true},
	} {
		got, found := findLogin(tt.text, "cache.example")
		if got != tt.want || found != tt.found {
			t.Errorf("%s: got %+v, %t", tt.name, got, found)
		}
	}
}

// TestTheNetrcIsUsedWhereNixDoesNotGoByItself: with a bound of the rate, or a proxy, Nix meets the relay, and its
// netrc has nothing about that.
func TestTheNetrcIsUsedWhereNixDoesNotGoByItself(t *testing.T) {
	private := startCache(t, "")
	netrc := filepath.Join(t.TempDir(), "netrc")
	if err := os.WriteFile(netrc, []byte("machine 127.0.0.1 login ada password s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tk := token(t)
	const basic = "Basic YWRhOnMzY3JldA=="
	for name, tt := range map[string]struct {
		netrc string
		token proto.CacheToken
		want  string
	}{
		"an entry":               {netrc, proto.CacheToken{}, basic},
		"no file":                {netrc + "-none", proto.CacheToken{}, ""},
		"none is to be used":     {"", proto.CacheToken{}, ""},
		"a token goes before it": {netrc, tk, "Bearer " + tk.Reveal()},
	} {
		w := &Ways{Outbound: pins(private), Netrc: tt.netrc, Pace: NewPace(1 << 30)}
		w.Assigned([]string{private.cache()}, tt.token)
		r := startRelay(t, w, private.cache())
		code, text := read(t, r.url+"/nar/x.nar", http.Header{"Authorization": {"Basic bm9ib2R5"}})
		if code != http.StatusOK || text != archive {
			t.Errorf("%s: %d %q", name, code, text)
		}
		if got := <-private.asked; got != tt.want {
			t.Errorf("%s: asked as %q, want %q", name, got, tt.want)
		}
	}
}
