package source

import (
	"log/slog"
	"regexp"
	"strings"
	"testing"
)

func TestParseURL(t *testing.T) {
	for _, row := range []struct {
		url   string
		want  string // "" means refused
		local bool
	}{
		{"/srv/fleet.git", "/srv/fleet.git", true},
		{"/srv/../srv/fleet.git/", "/srv/fleet.git", true},
		{"file:///srv/fleet.git", "file:///srv/fleet.git", true},
		{"ssh://git@example.org:2222/fleet.git", "ssh://git@example.org:2222/fleet.git", false},
		{"git@example.org:fleet.git", "git@example.org:fleet.git", false},
		{"example.org:fleet.git", "example.org:fleet.git", false},
		{"https://example.org/fleet.git", "https://example.org/fleet.git", false},

		{"", "", false},
		{"fleet.git", "", false},
		{"./fleet.git", "", false},
		{"http://example.org/fleet.git", "", false},
		{"git://example.org/fleet.git", "", false},
		{"ext::sh -c evil", "", false},
		{"--upload-pack=evil", "", false},
		{"-x:y", "", false},
		{"git@-oProxyCommand=evil:x", "", false},
		{"ssh://-oProxyCommand=evil/x", "", false},
		{"ssh://example.org#@thief.example/x", "", false},
		{"ssh://example.org?@thief.example/x", "", false},
		{"https://example.org#@thief.example/x", "", false},
		{"[git@example.org:2222]:x", "", false},
		{"ssh://git:hunter2@example.org/fleet.git", "", false},
		{"https://git:hunter2@example.org/fleet.git", "", false},
		{"https://hunter2@example.org/fleet.git", "", false},
		{"https://git:hunter2@exa mple.org/%zz", "", false},
		{"file://example.org/fleet.git", "", false},
		{"/srv/fleet\n.git", "", false},
	} {
		got, err := parseURL(row.url)
		if (err == nil) != (row.want != "") || got.url != row.want || got.local != row.local {
			t.Errorf("parseURL(%q): got %+v and error %v, want %q, local %v", row.url, got, err, row.want, row.local)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("parseURL(%q): error %q holds the password", row.url, err)
		}
	}
}

func TestCheckBranch(t *testing.T) {
	for _, good := range []string{"main", "release/25.11", "a-b_c", "@x", "ünï", "v1.0"} {
		if err := checkBranch(good); err != nil {
			t.Errorf("checkBranch(%q): %v", good, err)
		}
	}
	for _, bad := range []string{"", "@", "-x", "a..b", "a b", "a:b", "a*", "a/", "/a", "a//b", ".a", "a/.b", "a.lock", "a.lock/b", "a.", "a@{b", "a\nb", "a~1", "a^", `a\b`, "a?", "a[b"} {
		if err := checkBranch(bad); err == nil {
			t.Errorf("checkBranch(%q): accepted", bad)
		}
	}
}

type noStore struct{ Store }

func TestNewSaysEverythingThatIsWrong(t *testing.T) {
	_, err := New(Options{URL: "http://example.org", Branch: "a b", Subdir: "../x", Dir: t.TempDir(), Store: noStore{}, Root: "/root", Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, key := range []string{"url:", "branch:", "subdir:"} {
		if !strings.Contains(err.Error(), key) {
			t.Errorf("error %q does not mention %s", err, key)
		}
	}
}

// runsProgram is the form of a URL for which git runs git-remote-<scheme>.
var runsProgram = regexp.MustCompile(`^[0-9A-Za-z+.-]*::`)

func FuzzParseURL(f *testing.F) {
	for _, seed := range []string{"/srv/x", "git@example.org:x", "https://example.org/x", "ssh://a@b/c", "ext::x", "-x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseURL(s)
		if err != nil {
			return
		}
		if strings.HasPrefix(got.url, "-") || runsProgram.MatchString(got.url) || strings.ContainsAny(got.url, "\n\x00") {
			t.Errorf("accepted %q as %q", s, got.url)
		}
	})
}
