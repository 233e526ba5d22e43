package rootfs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDebianArchive(t *testing.T) {
	found := []source{
		{"http://vendor/apt", []string{"stable"}, []string{"main"}},
		{"http://m/security", []string{"bookworm-security"}, []string{"main"}},
		{"http://m/debian/", []string{"bookworm-updates", "bookworm"}, []string{"contrib", "main"}},
	}
	got, err := debianArchive(found, "bookworm")
	if want := "http://m/debian"; err != nil || got != want {
		t.Errorf("debianArchive = %q, %v, want %q", got, err, want)
	}
	if got, err := debianArchive(found, "noble"); err == nil || !strings.Contains(err.Error(), `"noble"`) {
		t.Errorf("debianArchive of a release without a source = %q, %v, want an error that names it", got, err)
	}
}

func TestCodename(t *testing.T) {
	tests := []struct{ name, release, want string }{
		{"Debian", "ID=debian\nVERSION_CODENAME=bookworm\n", "bookworm"},
		{"quoted", "VERSION_CODENAME=\"trixie\"\n", "trixie"},
		{"none", "ID=other\n", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := codename(test.release); got != test.want {
				t.Errorf("codename(%q) = %q, want %q", test.release, got, test.want)
			}
		})
	}
}

func TestParseSettings(t *testing.T) {
	dump := "APT \"\";\nAcquire::Check-Date \"false\";\nAcquire::http::Proxy \"http://proxy:3128\";\nAcquire::https::Proxy \"\";\nDir::Etc \"etc\";\n"
	got := parseSettings(dump)
	if diff := cmp.Diff(apt{proxy: "http://proxy:3128", set: []string{"Acquire::Check-Date=false"}}, got, cmp.AllowUnexported(apt{})); diff != "" {
		t.Errorf("parseSettings (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"-oAcquire::Check-Date=false"}, got.options()); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
}

func TestFirstMirror(t *testing.T) {
	list := filepath.Join(t.TempDir(), "mirrors.list")
	if err := os.WriteFile(list, []byte("# near\n\nhttp://near/debian/\tpriority:1\nhttp://far/debian\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := firstMirror(list); err != nil || got != "http://near/debian" {
		t.Errorf("firstMirror = %q, %v, want the first one", got, err)
	}
}
