package closure

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"kedge/proto"
)

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
