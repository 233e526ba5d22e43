package main

import (
	"bytes"
	_ "embed" // for the template and the style
	"fmt"
	"html/template"
	"regexp"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

//go:embed page.html
var layout string

//go:embed style.css
var style []byte

// render returns a page as HTML, in its frame.
func (s *site) render(p *page) ([]byte, error) {
	md := goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithParserOptions(parser.WithAutoHeadingID()))
	doc := md.Parser().Parse(text.NewReader(p.text), parser.WithContext(parser.NewContext(parser.WithIDs(anchors{}))))
	err := ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		var err error
		switch n := n.(type) {
		case *ast.Link:
			n.Destination, err = s.rewrite(p, n.Destination)
		case *ast.Image:
			n.Destination, err = s.rewrite(p, n.Destination)
		}
		return ast.WalkContinue, err
	})
	if err != nil {
		return nil, err
	}
	var body bytes.Buffer
	if err := md.Renderer().Render(&body, p.text, doc); err != nil {
		return nil, err
	}
	return s.frame(p, body.String())
}

func (s *site) rewrite(p *page, link []byte) ([]byte, error) {
	to, err := s.resolve(p, string(link))
	return []byte(to), err
}

// frame puts a page into the navigation.
func (s *site) frame(p *page, body string) ([]byte, error) {
	here := s.targetOf(p.source)
	t, err := template.New("page").Funcs(template.FuncMap{
		"to":    func(q *page) string { return relative(here, s.targetOf(q.source)) },
		"here":  func(q *page) bool { return q == p },
		"title": func(q *page) string { return q.title },
	}).Parse(layout)
	if err != nil {
		return nil, fmt.Errorf("page.html: %w", err)
	}
	var out bytes.Buffer
	err = t.Execute(&out, map[string]any{
		"Title": p.title, "Style": relative(here, "style.css"), "Home": relative(here, "index.html"), "Nav": s.nav,
		"Body": template.HTML(body), //nolint:gosec // goldmark made it, and lets no HTML of the source through
	})
	return out.Bytes(), err
}

// anchors are the IDs of headings, as forges make them.
type anchors map[string]bool

var _ parser.IDs = anchors{}

// Generate implements [parser.IDs].
func (a anchors) Generate(value []byte, _ ast.NodeKind) []byte {
	id := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(string(value)), "")
	id = strings.ReplaceAll(strings.TrimSpace(id), " ", "-")
	for n, base := 1, id; a[id]; n++ {
		id = fmt.Sprintf("%s-%d", base, n)
	}
	a[id] = true
	return []byte(id)
}

// Put implements [parser.IDs].
func (a anchors) Put(value []byte) { a[string(value)] = true }

// links returns where Markdown links to.
func links(markdown string) (all []string) {
	for _, m := range regexp.MustCompile(`\]\(([^)\s#]+)`).FindAllStringSubmatch(markdown, -1) {
		all = append(all, m[1])
	}
	return all
}
