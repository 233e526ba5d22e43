package setup

import (
	"os"
	"path/filepath"
	"testing"
)

func FuzzLoadNeverReturnsAnInvalidConfiguration(f *testing.F) {
	for _, text := range []string{fullYAML, fullJSON, "nats: {1: 2}", "grace_period: 2026-01-01", "tries: .inf", "? [a]\n: b", "checks: [&a {name: x}, *a]"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Load(Source[testConfig]{File: file, Default: defaults()})
		if err != nil {
			wantConfig(t, got, testConfig{})
		} else if err := got.Validate(); err != nil {
			t.Error(err)
		}
	})
}
