package source

import (
	"strings"
	"testing"
)

func TestURLsOfSubmodules(t *testing.T) {
	for _, c := range []struct{ source, text, want string }{
		{"/srv/git/fleet.git", "../lib.git", "/srv/git/lib.git"},
		{"/srv/git/fleet.git", "./lib", "/srv/git/fleet.git/lib"},
		{"file:///srv/git/fleet.git", "../libs/lib.git", "/srv/git/libs/lib.git"},
		{"https://forge.example/team/fleet.git", "../lib.git", "https://forge.example/team/lib.git"},
		{"https://forge.example:8443/team/fleet.git/", "../../other/lib.git", "https://forge.example:8443/other/lib.git"},
		{"ssh://git@forge.example:2222/team/fleet.git", "../lib.git", "ssh://git@forge.example:2222/team/lib.git"},
		{"git@forge.example:team/fleet.git", "../lib.git", "git@forge.example:team/lib.git"},
		{"git@forge.example:/srv/fleet.git", "../lib.git", "git@forge.example:/srv/lib.git"},
		{"/srv/git/fleet.git", "https://forge.example/lib.git", "https://forge.example/lib.git"},
		{"https://forge.example/fleet.git", "git@forge.example:lib.git", "git@forge.example:lib.git"},
		{"https://forge.example/fleet.git", "../a b?c#d.git", "https://forge.example/a%20b%3Fc%23d.git"},

		{"/srv/git/fleet.git", "", ""},
		{"/srv/git/fleet.git", "../../secret", ""},
		{"/srv/git/fleet.git", "../x/../../secret", ""},
		{"/srv/git/fleet.git", "../", ""},
		{"/srv/git/fleet.git", "/srv/git/lib.git", ""},
		{"https://forge.example/team/fleet.git", "/srv/git/lib.git", ""},
		{"https://forge.example/team/fleet.git", "file:///srv/git/lib.git", ""},
		{"https://forge.example/team/fleet.git", "../../../lib.git", ""},
		{"git@forge.example:fleet.git", "../../lib.git", ""},
		{"git@forge.example:fleet.git", "../-oProxyCommand=id", ""},
		{"https://forge.example/fleet.git", "ext::sh -c id", ""},
		{"https://forge.example/fleet.git", "ext::sh% -c% id", ""},
		{"https://forge.example/fleet.git", "fd::7", ""},
		{"https://forge.example/fleet.git", "http://forge.example/lib.git", ""},
		{"https://forge.example/fleet.git", "git://forge.example/lib.git", ""},
		{"https://forge.example/fleet.git", "--upload-pack=id", ""},
		{"https://forge.example/fleet.git", "-oProxyCommand=id:x", ""},
		{"https://forge.example/fleet.git", "ssh://-oProxyCommand=id/x", ""},
		{"https://forge.example/fleet.git", "https://u:s3cret@forge.example/x", ""},
		{"https://forge.example/fleet.git", "../lib\n.git", ""},
		{"https://forge.example/fleet.git", "lib.git", ""},
	} {
		in, err := parseURL(c.source)
		if err != nil {
			t.Fatal(err)
		}
		r := &Repository{location: in}
		got, err := r.submoduleURL(in, c.text)
		if got.url != c.want || (err == nil) != (c.want != "") || err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s of %s: got %q, %v, want %q", c.text, c.source, got.url, err, c.want)
		}
	}
}

// TestASubmoduleOfASubmoduleLeadsNoFurther: beside the source, not beside that.
func TestASubmoduleOfASubmoduleLeadsNoFurther(t *testing.T) {
	r := &Repository{location: location{url: "/srv/git/fleet.git", local: true, path: "/srv/git/fleet.git"}}
	in := location{url: "/srv/git/libs/lib.git", local: true, path: "/srv/git/libs/lib.git"}
	if got, err := r.submoduleURL(in, "../../deep.git"); err != nil || got.path != "/srv/git/deep.git" {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := r.submoduleURL(in, "../../../deep.git"); err == nil {
		t.Errorf("got %v, want an error", got)
	}
	remote := location{url: "https://forge.example/lib.git"}
	if got, err := r.submoduleURL(remote, "../deep.git"); err != nil || got.local || got.url != "https://forge.example/deep.git" {
		t.Errorf("got %v, %v", got, err)
	}
}

// TestTwoSubmodulesInOnePlace are one, and always the same.
func TestTwoSubmodulesInOnePlace(t *testing.T) {
	const out = "submodule.b.path\nlib\x00submodule.b.url\n../b\x00submodule.a.path\nlib\x00submodule.a.url\n../a\x00"
	for range 100 {
		if got := parseModules(out)["lib"]; got != "../b" {
			t.Fatalf("got %q", got)
		}
	}
}

func TestKeysAndTokensStayWithTheirServer(t *testing.T) {
	all := Credentials{SSHKeyFile: "/key", KnownHostsFile: "/hosts", TokenFile: "/token", User: "x"}
	for _, c := range []struct {
		own, other string
		want       Credentials
	}{
		{"https://forge.example/a", "https://forge.example:443/b", all},
		{"https://forge.example/a", "https://FORGE.example/b", all},
		{"https://forge.example/a", "https://forge.example:8443/b", Credentials{}},
		{"https://forge.example/a", "https://forge.example.org/b", Credentials{}},
		{"https://forge.example/a", "https://forge.example@thief.example/b", Credentials{}},
		{"https://forge.example/a", "ssh://git@forge.example/b", Credentials{KnownHostsFile: "/hosts"}},
		{"ssh://git@forge.example/a", "git@forge.example:b", all},
		{"git@forge.example:a", "ssh://other@forge.example:22/b", all},
		{"git@forge.example:a", "ssh://git@forge.example:2222/b", Credentials{KnownHostsFile: "/hosts"}},
		{"git@forge.example:a", "git@thief.example:b", Credentials{KnownHostsFile: "/hosts"}},
		{"git@forge.example:a", "git@forge.example@thief.example:b", Credentials{KnownHostsFile: "/hosts"}},
		{"git@forge.example:a", "https://forge.example/b", Credentials{}},
	} {
		if got := all.at(location{url: c.own}, location{url: c.other}); got != c.want {
			t.Errorf("of %s for %s: %+v, want %+v", c.own, c.other, got, c.want)
		}
	}
}

func FuzzSubmoduleURL(f *testing.F) {
	f.Add("https://forge.example/fleet.git", "../lib.git")
	f.Add("git@forge.example:fleet.git", "../../x")
	f.Add("/srv/git/fleet.git", "../../etc")
	f.Add("https://forge.example/fleet.git", "ext::sh -c id")
	f.Fuzz(func(t *testing.T, source, text string) {
		in, err := parseURL(source)
		if err != nil {
			return
		}
		at, err := (&Repository{location: in}).submoduleURL(in, text)
		if err != nil {
			return
		}
		if again, err := parseURL(at.url); err != nil || again != at {
			t.Errorf("%q of %q: %q, which a source may not have: %v", text, source, at.url, err)
		}
		if at.local && !in.local {
			t.Errorf("%q of %q leads to %s, on this machine", text, source, at.path)
		}
		if relative := strings.HasPrefix(text, "./") || strings.HasPrefix(text, "../"); relative && at.server() != in.server() {
			t.Errorf("%q of %q leads to %s", text, source, at.url)
		}
	})
}

// What a repository says of its submodules names places that it says, and no others.
func FuzzParseModules(f *testing.F) {
	for _, s := range []string{"", "submodule.a.path\nlib\x00submodule.a.url\n../lib", "submodule.a.path\n\x00", "submodule.a.path\n../x\x00submodule.b.path\n../x", "\x00.path\n.url\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, out string) {
		for path, url := range parseModules(out) {
			if !strings.Contains(out, path) || !strings.Contains(out, url) || strings.Contains(path+url, "\x00") {
				t.Errorf("%q is at %q, says %q", path, url, out)
			}
		}
	})
}
