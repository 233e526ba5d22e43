package controller

import (
	"fmt"
	"os"
	"reflect"
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
		case []string:
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
