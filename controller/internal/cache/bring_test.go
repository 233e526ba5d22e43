package cache

import (
	"strings"
	"testing"

	"kedge/proto"
)

// What is here is not fetched; what is not comes from the first cache that has it,
// and only as far as trusted keys signed it.
func TestBring(t *testing.T) {
	f := newFake(t)
	c := open(t, f, t.TempDir())
	trusted := []proto.PublicKey{c.key}
	if err := c.Bring(t.Context(), path(t, "web1"), nil); err != nil || len(f.substituted) > 0 {
		t.Errorf("bring what is here: error %v, fetched %v", err, f.substituted)
	}
	if err := c.Bring(t.Context(), path(t, "elsewhere"), nil); err == nil || !strings.Contains(err.Error(), "cache.from") {
		t.Errorf("without a cache: got error %v, want one that names the option", err)
	}
	c.from = []string{"http://empty", "http://ci"}
	f.elsewhere = "http://nowhere"
	if err := c.Bring(t.Context(), path(t, "elsewhere"), trusted); err == nil || !strings.Contains(err.Error(), "http://empty") || !strings.Contains(err.Error(), "http://ci") {
		t.Errorf("from caches that lack it: got error %v, want one that names both", err)
	}
	f.substituted, f.elsewhere = nil, "http://ci"
	if err := c.Bring(t.Context(), path(t, "elsewhere"), trusted); err != nil {
		t.Fatal(err)
	}
	if got := f.substituted[len(f.substituted)-1]; got.From != "http://ci" || len(got.TrustedKeys) != 2 {
		t.Errorf("fetched with %+v, want from http://ci with two keys", got)
	}
}
