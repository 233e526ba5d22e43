package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// index is the page that has the navigation, and that the site begins with.
const index = "docs/README.md"

// A site is the documentation, read.
type site struct {
	project fs.FS
	pages   map[string]*page // by the path of the source
	nav     []section
	files   map[string]string // what is copied: where it goes, by the path of the source
}

// A page is one page.
type page struct {
	source string // path in the project
	title  string
	text   []byte
}

// A section is a part of the navigation.
type section struct {
	Title string
	Pages []*page
}

// open reads every page of the project's documentation.
func open(project fs.FS) (*site, error) {
	s := &site{project: project, pages: map[string]*page{}, files: map[string]string{}}
	sources := []string{"README.md", "CHANGELOG.md"}
	err := fs.WalkDir(project, "docs", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && path.Ext(name) == ".md" {
			sources = append(sources, name)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, name := range sources {
		text, err := fs.ReadFile(project, name)
		if err != nil {
			return nil, err
		}
		s.pages[name] = &page{source: name, title: titleOf(name, text), text: text}
	}
	if s.pages[index] == nil {
		return nil, errors.New(index + " is not there")
	}
	s.nav = s.sections()
	return s, nil
}

// titleOf returns the first heading.
func titleOf(name string, text []byte) string {
	for line := range bytes.Lines(text) {
		if title, is := bytes.CutPrefix(bytes.TrimLeft(line, "#"), []byte(" ")); is && line[0] == '#' {
			return strings.ReplaceAll(strings.TrimSpace(string(title)), "`", "")
		}
	}
	return path.Base(name)
}

// targetOf returns where something of the project is in the site.
func (s *site) targetOf(source string) string {
	if p := s.pages[source]; p != nil {
		name := strings.TrimSuffix(source, ".md") + ".html"
		switch below, inDocs := strings.CutPrefix(name, "docs/"); {
		case source == index:
			return "index.html"
		case inDocs && path.Base(below) == "README.html":
			return path.Join(path.Dir(below), "index.html")
		case inDocs:
			return below
		}
		return strings.ToLower("project/" + name)
	}
	if below, inDocs := strings.CutPrefix(source, "docs/"); inDocs {
		return below
	}
	return "project/" + source
}

// write writes the site to a directory.
func (s *site) write(out string) error {
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	written := map[string]bool{}
	for len(written) < len(s.pages) { // a page that links to a directory makes another one
		for _, source := range slices.Sorted(maps.Keys(s.pages)) {
			if written[source] {
				continue
			}
			text, err := s.render(s.pages[source])
			if err != nil {
				return fmt.Errorf("%s: %w", source, err)
			}
			if err := put(filepath.Join(out, s.targetOf(source)), text); err != nil {
				return err
			}
			written[source] = true
		}
	}
	for source, target := range s.files {
		text, err := fs.ReadFile(s.project, source)
		if err != nil {
			return err
		}
		if err := put(filepath.Join(out, target), text); err != nil {
			return err
		}
	}
	return put(filepath.Join(out, "style.css"), style)
}

func put(file string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644) //nolint:gosec // it is for everybody to read
}

// resolve returns where a link from a page leads in the site, relative to that page. What a page links to is
// copied. Links to elsewhere are left as they are.
func (s *site) resolve(from *page, link string) (string, error) {
	if strings.Contains(link, "://") || strings.HasPrefix(link, "mailto:") || strings.HasPrefix(link, "#") {
		return link, nil
	}
	name, fragment, _ := strings.Cut(link, "#")
	source := path.Join(path.Dir(from.source), name)
	info, err := fs.Stat(s.project, source)
	if err != nil {
		return "", fmt.Errorf("link to %s: %w", link, err)
	}
	target := s.targetOf(source)
	switch {
	case info.IsDir():
		if target, err = s.list(source); err != nil {
			return "", err
		}
	case s.pages[source] == nil:
		s.files[source] = target
	}
	if fragment != "" {
		fragment = "#" + fragment
	}
	return relative(s.targetOf(from.source), target) + fragment, nil
}

// list makes a page that lists a directory, unless that has one, and returns where it is.
func (s *site) list(dir string) (string, error) {
	source := path.Join(dir, "README.md")
	if s.pages[source] != nil {
		return s.targetOf(source), nil
	}
	entries, err := fs.ReadDir(s.project, dir)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "# %s\n\n", path.Base(dir))
	for _, e := range entries {
		name := e.Name()
		if p := s.pages[path.Join(dir, name)]; p != nil {
			fmt.Fprintf(&text, "- [%s](%s)\n", p.title, name)
		} else if !e.IsDir() {
			fmt.Fprintf(&text, "- [%s](%s)\n", name, name)
		}
	}
	s.pages[source] = &page{source: source, title: path.Base(dir), text: []byte(text.String())}
	return s.targetOf(source), nil
}

// relative returns the way from one file of the site to another.
func relative(from, to string) string {
	up := strings.Count(from, "/")
	a, b := strings.Split(from, "/"), strings.Split(to, "/")
	for len(a) > 1 && len(b) > 1 && a[0] == b[0] {
		a, b, up = a[1:], b[1:], up-1
	}
	return strings.Repeat("../", up) + strings.Join(b, "/")
}

// sections returns the navigation: the paragraphs of the index that begin with a word in bold, each with the
// pages that it links to.
func (s *site) sections() []section {
	all := []section{{Title: "Begin", Pages: []*page{s.pages[index], s.pages["README.md"]}}}
	for block := range strings.SplitSeq(string(s.pages[index].text), "\n\n") {
		title, rest, is := strings.Cut(strings.TrimPrefix(block, "**"), "**")
		if !strings.HasPrefix(block, "**") || !is {
			title, rest = "", block
		}
		n := len(all) - 1
		if title != "" {
			all = append(all, section{Title: title})
			n++
		}
		for _, link := range links(rest) {
			p := s.pages[path.Join("docs", link)]
			if p != nil && !slices.Contains(all[n].Pages, p) {
				all[n].Pages = append(all[n].Pages, p)
			}
		}
	}
	return all
}
