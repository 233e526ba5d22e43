package spec

import (
	"testing"

	"kedge/proto"
)

func TestSelectorMatches(t *testing.T) {
	for _, c := range []struct {
		selector string
		canon    string // empty for the same
		want     []string
	}{
		{"all", "", []string{"db1", "web1", "web2"}},
		{"web1", "", []string{"web1"}},
		{"web*", "", []string{"web1", "web2"}},
		{"??b?", "", []string{"web1", "web2"}},
		{"tag:eu", "", []string{"db1", "web1"}},
		{"not tag:eu", "", []string{"web2"}},
		{"not not web1", "", []string{"web1"}},
		{"web1 or tag:eu and db*", "", []string{"db1", "web1"}},
		{"(web1 or tag:eu) and db*", "", []string{"db1"}},
		{"not (web1 or db1)", "", []string{"web2"}},
		{"not web1 and web*", "", []string{"web2"}},
		{" ( web1 or(web2) )\n", "web1 or web2", []string{"web1", "web2"}},
		{"web1 and (web1 and (tag:eu))", "web1 and web1 and tag:eu", []string{"web1"}},
		{"(web1 and tag:eu) or db1", "web1 and tag:eu or db1", []string{"db1", "web1"}},
	} {
		t.Run(c.selector, func(t *testing.T) {
			sel := selector(t, c.selector)
			var got []string
			for _, h := range []string{"db1", "web1", "web2"} {
				if sel.Match(hostName(t, h), map[string][]string{"db1": {"eu"}, "web1": {"eu", "web"}}[h]) {
					got = append(got, h)
				}
			}
			if len(got) != len(c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			want := c.canon
			if want == "" {
				want = c.selector
			}
			if got := sel.String(); got != want {
				t.Errorf("it is written %q, want %q", got, want)
			}
		})
	}
	if (Selector{}).Match(hostName(t, "web1"), nil) {
		t.Error("the zero selector selects somebody")
	}
}

func selector(t *testing.T, text string) Selector {
	t.Helper()
	sel, err := ParseSelector(text)
	if err != nil {
		t.Fatal(err)
	}
	return sel
}

func hostName(t *testing.T, name string) proto.HostName {
	t.Helper()
	h, err := proto.ParseHostName(name)
	if err != nil {
		t.Fatal(err)
	}
	return h
}
