package forwarded

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

func TestOnlyOurProxiesAreBelieved(t *testing.T) {
	ours := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, tt := range []struct {
		name    string
		proxies []netip.Prefix
		from    string
		headers []string
		want    string
	}{
		{"nobody is believed by default", nil, "10.0.0.1:5", []string{"192.0.2.1"}, "10.0.0.1:5"},
		{"a stranger", ours, "192.0.2.9:5", []string{"192.0.2.1"}, "192.0.2.9:5"},
		{"a proxy", ours, "10.0.0.1:5", []string{"192.0.2.1"}, "192.0.2.1:0"},
		{"a proxy that says nothing", ours, "10.0.0.1:5", nil, "10.0.0.1:5"},
		{"what a client said of itself", ours, "10.0.0.1:5", []string{"10.9.9.9, 192.0.2.1"}, "192.0.2.1:0"},
		{"in a header of its own", ours, "10.0.0.1:5", []string{"203.0.113.7", "192.0.2.1"}, "192.0.2.1:0"},
		{"two proxies", ours, "10.0.0.1:5", []string{"192.0.2.1, 10.0.0.2"}, "192.0.2.1:0"},
		{"a client within our networks", ours, "10.0.0.1:5", []string{"10.0.0.7"}, "10.0.0.7:0"},
		{"nonsense", ours, "10.0.0.1:5", []string{"192.0.2.1, unknown"}, "10.0.0.1:5"},
		{"IPv6, with a port", ours, "[fd00::1]:5", []string{"[2001:db8::1]:443"}, "[2001:db8::1]:0"},
		{"IPv4 as IPv6", ours, "[::ffff:10.0.0.1]:5", []string{"::ffff:192.0.2.1"}, "192.0.2.1:0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got string
			h := Believing(tt.proxies, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RemoteAddr }))
			r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
			r.RemoteAddr = tt.from
			r.Header[header] = tt.headers
			h.ServeHTTP(httptest.NewRecorder(), r)
			if got != tt.want || r.RemoteAddr != tt.from {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// What a header says counts only as far as our proxies vouch for it.
func FuzzBehind(f *testing.F) {
	for _, s := range []string{"", "192.0.2.1", "192.0.2.1:80, 10.0.0.2", "[2001:db8::1]:80", "[fe80::1%eth0]", "unknown", ",,10.0.0.1", "::ffff:192.0.2.1"} {
		f.Add(s)
	}
	ours := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	proxy, stranger := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("192.0.2.9")
	f.Fuzz(func(t *testing.T, said string) {
		if got := behind(ours, stranger, []string{said}); got != stranger {
			t.Errorf("a stranger who says %q is taken for %s", said, got)
		}
		if got := behind(ours, proxy, []string{said}); !got.IsValid() || got.Zone() != "" || got.Is4In6() {
			t.Errorf("behind our proxy, which says %q, is %s", said, got)
		}
	})
}
