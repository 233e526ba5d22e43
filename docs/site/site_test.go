package main

import (
	"html"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// build writes the site, and returns its files by name.
func build(t *testing.T) map[string]string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "site")
	if err := run([]string{"-root", "../..", "-out", out}, t.Output()); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	err := fs.WalkDir(os.DirFS(out), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(out, name))
		all[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var reference = regexp.MustCompile(`(href|src)="([^"]*)"`)

// TestTheSiteIsWhole: every page of the manual is there, every link leads to a file and to a heading that are
// there, and nothing is loaded from elsewhere.
func TestTheSiteIsWhole(t *testing.T) {
	files := build(t)
	sources, err := filepath.Glob("../*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range sources {
		name := strings.TrimSuffix(filepath.Base(source), ".md") + ".html"
		if name == "README.html" {
			name = "index.html"
		}
		text := files[name]
		if !strings.Contains(text, "<h1") || !strings.Contains(text, "<nav>") || !strings.Contains(text, `aria-current="page"`) {
			t.Errorf("%s is not there, or not in the navigation", name)
		}
	}
	seen := 0
	for name, text := range files {
		if path.Ext(name) != ".html" {
			continue
		}
		if strings.Contains(text, "raw HTML omitted") {
			t.Errorf("%s: HTML of the page was left out", name)
		}
		for _, m := range reference.FindAllStringSubmatch(text, -1) {
			seen++
			checkLink(t, files, name, m[1], html.UnescapeString(m[2]))
		}
	}
	if seen < 1000 {
		t.Errorf("looked at %d links only", seen)
	}
}

func checkLink(t *testing.T, files map[string]string, from, kind, link string) {
	t.Helper()
	if strings.Contains(link, "://") {
		if kind == "src" {
			t.Errorf("%s loads %s", from, link)
		}
		return
	}
	to, fragment, _ := strings.Cut(link, "#")
	name := from
	if to != "" {
		name = path.Join(path.Dir(from), to)
	}
	text, there := files[name]
	switch {
	case !there:
		t.Errorf("%s leads to %s, which is not there", from, link)
	case fragment != "" && !strings.Contains(text, `id="`+html.EscapeString(fragment)+`"`):
		t.Errorf("%s leads to %s, and there is no such heading", from, link)
	}
}

// TestNothingIsLoadedFromElsewhere looks at what a page brings with it besides what it says.
func TestNothingIsLoadedFromElsewhere(t *testing.T) {
	for _, text := range []string{layout, string(style)} {
		for _, word := range []string{"http:", "https:", "//", "<script", "@import", "url("} {
			if strings.Contains(text, word) {
				t.Errorf("there is %q in %.40q", word, text)
			}
		}
	}
}

func TestRelative(t *testing.T) {
	for _, tt := range []struct{ from, to, want string }{
		{"index.html", "install.html", "install.html"},
		{"adr/1.html", "index.html", "../index.html"},
		{"adr/1.html", "adr/2.html", "2.html"},
		{"index.html", "adr/2.html", "adr/2.html"},
		{"adr/1.html", "reference/kedge.html", "../reference/kedge.html"},
	} {
		if got := relative(tt.from, tt.to); got != tt.want {
			t.Errorf("from %s to %s: %s, want %s", tt.from, tt.to, got, tt.want)
		}
	}
}

func TestALinkThatLeadsNowhereIsAnError(t *testing.T) {
	project := fstest.MapFS{
		"README.md": {Data: []byte("# Kedge\n")}, "CHANGELOG.md": {Data: []byte("# Changes\n")},
		"docs/README.md": {Data: []byte("# Documentation\n\n**Run it**: [a](a.md), [files](files).\n")},
		"docs/a.md":      {Data: []byte("# `A` page\n\n[gone](gone.md)\n")}, "docs/files/x.yml": {Data: []byte("x: 1\n")},
	}
	s, err := open(project)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.nav[1]; got.Title != "Run it" || len(got.Pages) != 1 || got.Pages[0].title != "A page" {
		t.Errorf("navigation: %+v", s.nav)
	}
	if err := s.write(filepath.Join(t.TempDir(), "site")); err == nil || !strings.Contains(err.Error(), "docs/a.md: link to gone.md") {
		t.Errorf("error = %v", err)
	}
	if !slices.Contains(links("[a](b.md#c) ![d](e.svg)"), "e.svg") {
		t.Error("a picture is no link")
	}
}
