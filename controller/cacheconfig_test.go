package controller

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestTheDocumentNamesEveryOptionOfTheCache, with its default.
func TestTheDocumentNamesEveryOptionOfTheCache(t *testing.T) {
	text, err := os.ReadFile("../docs/caches.md")
	if err != nil {
		t.Fatal(err)
	}
	c := reflect.ValueOf(defaultCache())
	for i := range c.NumField() {
		key, value := c.Type().Field(i).Tag.Get("config"), c.Field(i)
		row := fmt.Sprintf("| `cache.%s` | ", key)
		switch v := value.Interface().(type) {
		case time.Duration:
			row += fmt.Sprintf("`%dh` |", int(v.Hours()))
		case []string, []PushConfig:
			row += "|"
		default:
			row += fmt.Sprintf("`%v` |", v)
		}
		if !strings.Contains(string(text), row) {
			t.Errorf("docs/caches.md has no row that begins with %q", row)
		}
	}
	if got, want := strings.Count(string(text), "\n| `cache."), c.NumField(); got != want {
		t.Errorf("docs/caches.md has %d options, want %d", got, want)
	}
}

// TestTheDocumentNamesEveryOptionOfAFurtherCache.
func TestTheDocumentNamesEveryOptionOfAFurtherCache(t *testing.T) {
	text, err := os.ReadFile("../docs/caches.md")
	if err != nil {
		t.Fatal(err)
	}
	push := reflect.TypeFor[PushConfig]()
	for field := range push.Fields() {
		if row := fmt.Sprintf("\n| `%s` | ", field.Tag.Get("config")); !strings.Contains(string(text), row) {
			t.Errorf("docs/caches.md has no row that begins with %q", row)
		}
	}
	if got, want := strings.Count(string(text), "\n| `"), push.NumField()+reflect.TypeFor[CacheConfig]().NumField(); got != want {
		t.Errorf("docs/caches.md has %d options, want %d", got, want)
	}
}

// TestWhatIsServedBesideTheCacheIsFoundWithoutIt: then beside NATS. A cache of others is
// no place for it, whatever its URL.
func TestWhatIsServedBesideTheCacheIsFoundWithoutIt(t *testing.T) {
	c := DefaultConfig()
	c.Cache.URLs = []string{"https://others.example/cache", "https://build.example/cache/"}
	c.NATS.Advertise = []string{"wss://build.example:444/nats", "tls://build.example:4222", "wss://nats.example"}
	for embedded, want := range map[bool][]string{
		true:  {"https://others.example/enroll", "https://build.example/enroll"},
		false: {"https://build.example:444/enroll"},
	} {
		c.Cache.Embedded = embedded
		if got := c.enrollURLs(); !slices.Equal(got, want) {
			t.Errorf("embedded %v: hosts enrol at %v, want %v", embedded, got, want)
		}
		if got := slices.Contains(certificateNames(c), "others.example"); got != embedded {
			t.Errorf("embedded %v: the certificate has the name of a cache of others: %v", embedded, got)
		}
	}
}
