package controller

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestTheDocumentOfSourcesHasEveryKey: docs/sources.md has a row for each key of a
// source, and for no other.
func TestTheDocumentOfSourcesHasEveryKey(t *testing.T) {
	text, err := os.ReadFile("../docs/sources.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| key of `sources.<channel>`")
	table, _, _ = strings.Cut(table, "\n\n")
	var rows []string
	for line := range strings.Lines(table) {
		if key, ok := strings.CutPrefix(line, "| `"); ok {
			key, _, _ = strings.Cut(key, "`")
			rows = append(rows, key)
		}
	}
	keys := configKeys(reflect.TypeFor[SourceConfig](), "")
	slices.Sort(rows)
	slices.Sort(keys)
	if !slices.Equal(rows, keys) {
		t.Errorf("docs/sources.md has rows for %q, want %q", rows, keys)
	}
}

// configKeys returns the keys of a section, and of those in it.
func configKeys(t reflect.Type, prefix string) (keys []string) {
	for f := range t.Fields() {
		key := prefix + f.Tag.Get("config")
		if f.Type == reflect.TypeFor[WebhookConfig]() || f.Type == reflect.TypeFor[SignaturesConfig]() {
			keys = append(keys, configKeys(f.Type, key+".")...)
			continue
		}
		keys = append(keys, key)
	}
	return keys
}
