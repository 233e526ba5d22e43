package controller

import (
	"strings"
	"testing"
)

// Who signs must be able to: what a controller cannot have signed alone it must not
// be asked to assign.
func TestConfigOfKeys(t *testing.T) {
	const key = `"ci-1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="`
	const noSource = "\nnats: {advertise: [\"tls://build.example:4222\"]}\ncache: {urls: [\"https://build.example/cache/\"]}\n"
	for _, c := range []struct{ name, text, problem string }{
		{"CI signs", noSource + "keys: {sign_releases: false, release: [" + key + "]}", ""},
		{"the controller signs, and CI may", goodConfig[:strings.Index(goodConfig, "keys")] + "keys: {release: [" + key + "]}", ""},
		{"nobody signs", noSource + "keys: {sign_releases: false}", "keys.release: must name"},
		{"more than there are must sign", noSource + "keys: {sign_releases: false, release: [" + key + "], release_threshold: 2}", "keys.release_threshold: must be between 1 and 1"},
		{"the controller and CI must both sign", goodConfig[:strings.Index(goodConfig, "keys")] + "keys: {release: [" + key + "], release_threshold: 2}", "keys.release_threshold: must be 1"},
		{"a source that nobody builds", goodConfig[:strings.Index(goodConfig, "keys")] + "keys: {sign_releases: false, release: [" + key + "]}", "sources: must be empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := load(t, c.text)
			switch {
			case c.problem == "" && err != nil:
				t.Error(err)
			case c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)):
				t.Errorf("got error %v, want %q", err, c.problem)
			}
		})
	}
}
