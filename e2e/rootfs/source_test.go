package rootfs

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseList(t *testing.T) {
	tests := []struct {
		name, content string
		want          []source
	}{
		{"a plain line", "deb http://m/debian bookworm main contrib\n", []source{{"http://m/debian", []string{"bookworm"}, []string{"main", "contrib"}}}},
		{"options are skipped", "deb [arch=amd64 signed-by=/k] http://m/debian bookworm main\n", []source{{"http://m/debian", []string{"bookworm"}, []string{"main"}}}},
		{"sources and comments are no binaries", "# deb http://a b main\ndeb-src http://m/debian bookworm main\n\n", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, parseList(test.content), cmp.AllowUnexported(source{})); diff != "" {
				t.Errorf("parseList(%q) (-want +got):\n%s", test.content, diff)
			}
		})
	}
}

func TestParseDeb822(t *testing.T) {
	tests := []struct {
		name, content string
		want          []source
	}{
		{
			"two stanzas, one with several suites",
			"Types: deb\n# a comment\nURIs: http://m/debian\nSuites: bookworm bookworm-updates\nComponents: main\n\nTypes: deb\nURIs: http://m/security\nSuites: bookworm-security\nComponents: main\n",
			[]source{
				{"http://m/debian", []string{"bookworm", "bookworm-updates"}, []string{"main"}},
				{"http://m/security", []string{"bookworm-security"}, []string{"main"}},
			},
		},
		{
			"several addresses, and a value that goes on",
			"Types: deb deb-src\nURIs: http://a http://b\nSuites: trixie\nComponents: main\n contrib\n",
			[]source{
				{"http://a", []string{"trixie"}, []string{"main", "contrib"}},
				{"http://b", []string{"trixie"}, []string{"main", "contrib"}},
			},
		},
		{"a disabled stanza", "Enabled: no\nTypes: deb\nURIs: http://m\nSuites: trixie\nComponents: main\n", nil},
		{"sources only", "Types: deb-src\nURIs: http://m\nSuites: trixie\nComponents: main\n", nil},
		{"nothing", "", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, parseDeb822(test.content), cmp.AllowUnexported(source{})); diff != "" {
				t.Errorf("parseDeb822(%q) (-want +got):\n%s", test.content, diff)
			}
		})
	}
}
