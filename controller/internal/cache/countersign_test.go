package cache

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kedge/proto"
)

// TestAReplacedKeySignsWhatIsThere has nothing copied: hosts fetch all the while, and with
// either key afterwards.
func TestAReplacedKeySignsWhatIsThere(t *testing.T) {
	n, old, c := replacedKey(t)
	bases := []string{"web1", "web2", "app", "lib"}
	before := map[string]string{}
	for _, base := range bases {
		before[base] = described(t, c, base)
	}
	n.copyErr = errors.New("no space left on device")
	_, err := c.Push(t.Context(), path(t, "web1"), path(t, "web2"))
	must(t, err)
	for _, base := range bases {
		added, is := strings.CutPrefix(described(t, c, base), before[base])
		if !is || !strings.HasPrefix(added, "Sig: ") || strings.Count(added, "\n") != 1 {
			t.Errorf("%s: %q was added, want one signature to what was there", base, added)
		}
		info, err := open(t, n, filepath.Dir(c.dir)).lookUp(path(t, base))
		must(t, err)
		if !info.ours || !info.SignedBy(old) {
			t.Errorf("%s has signatures %q, want one of either key", base, info.Signatures)
		}
	}
	if len(n.copies) > 0 {
		t.Errorf("copied %v, want nothing", n.copies)
	}
}

// TestAReplacedKeyTakesNothingAway pushes what cannot be copied, and what the local store
// does not have any more.
func TestAReplacedKeyTakesNothingAway(t *testing.T) {
	for name, spoil := range map[string]func(*fakeNix){
		"the disk is full":              func(n *fakeNix) { n.copyErr = errors.New("no space left on device") },
		"the system is not here at all": func(n *fakeNix) { delete(n.store, path(t, "web1")) },
	} {
		n, _, c := replacedKey(t)
		spoil(n)
		if _, err := c.Push(t.Context(), path(t, "web1"), path(t, "db1")); err == nil {
			t.Errorf("%s: pushed", name)
		}
		if gaps, err := c.walk(path(t, "web1"), false, make(walked)); err != nil || len(gaps) > 0 {
			t.Errorf("%s: %v, %v; want that all that was there can be fetched", name, gaps, err)
		}
	}
}

func TestOnlyWhatTheLocalStoreHasIsCountersigned(t *testing.T) {
	lib, db1 := path(t, "lib").Base(), path(t, "db1").Base()
	for name, change := range map[string]func(string) string{
		"another hash":     func(s string) string { return strings.Replace(s, "NarHash: sha256:", "NarHash: sha256:0", 1) },
		"another size":     func(s string) string { return strings.Replace(s, "NarSize: ", "NarSize: 1", 1) },
		"a reference less": func(s string) string { return strings.Replace(s, "References: "+lib, "References: ", 1) },
		"a reference more": func(s string) string { return strings.Replace(s, "References: "+lib, "References: "+lib+" "+db1, 1) },
		"one twice":        func(s string) string { return strings.Replace(s, "References: "+lib, "References: "+lib+" "+lib, 1) },
		"no end":           func(s string) string { return strings.TrimSuffix(s, "\n") },
	} {
		for _, before := range []string{"db1", "web1"} { // which may have what is changed remembered
			n, old, c := replacedKey(t)
			_, err := c.Relay(t.Context(), path(t, "db1"), path(t, before))
			must(t, err)
			good := described(t, c, "app")
			if change(good) == good {
				t.Fatalf("%s: nothing is changed in %s", name, good)
			}
			must(t, os.WriteFile(c.narInfoFile(path(t, "app")), []byte(change(good)), 0o644))
			_, err = c.Push(t.Context(), path(t, "web1"))
			must(t, err)
			info, err := open(t, n, filepath.Dir(c.dir)).lookUp(path(t, "app"))
			must(t, err)
			text, _, _ := strings.Cut(good, "Sig: ")
			if !info.ours || info.SignedBy(old) || len(info.Signatures) != 1 || !strings.HasPrefix(described(t, c, "app"), text) {
				t.Errorf("%s: the cache says %+v, want it copied anew", name, info)
			}
			if info, err := c.lookUp(path(t, "db1")); err != nil || info.ours {
				t.Errorf("%s: db1 is signed by us: %v, %v; want it left alone", name, info.ours, err)
			}
		}
	}
}

// replacedKey returns a cache that has web1 and web2, signed by an old key, and not what
// signs now.
func replacedKey(t *testing.T) (n *fakeNix, old proto.PublicKey, c *Cache) {
	t.Helper()
	state := t.TempDir()
	n = newFake(t)
	before := open(t, n, state)
	_, err := before.Push(t.Context(), path(t, "web1"), path(t, "web2"))
	must(t, err)
	must(t, os.Remove(before.keyFile))
	n.copies = nil
	return n, before.key, open(t, n, state)
}

// described returns what the cache says of a path.
func described(t *testing.T, c *Cache, base string) string {
	t.Helper()
	text, err := os.ReadFile(c.narInfoFile(path(t, base)))
	must(t, err)
	return string(text)
}
