package layers

import (
	"slices"
	"strings"
	"testing"
)

func TestOnlyCalledVulnerabilitiesCount(t *testing.T) {
	const said = `{"config":{"protocol_version":"v1.0.0"}}
{"progress":{"message":"Checking"}}
{"osv":{"id":"GO-1"}}
{"finding":{"osv":"GO-1","fixed_version":"v1.1.0","trace":[{"module":"example.org/a","version":"v1.0.0"}]}}
{"finding":{"osv":"GO-1","fixed_version":"v1.1.0","trace":[{"module":"example.org/a","version":"v1.0.0","package":"example.org/a"}]}}
{"finding":{"osv":"GO-2","trace":[{"module":"example.org/b","version":"v1.0.0","package":"example.org/b","function":"F"},{"module":"kedge"}]}}
{"finding":{"osv":"GO-2","trace":[{"module":"example.org/b","version":"v1.0.0","package":"example.org/b","function":"G"},{"module":"kedge"}]}}
{"finding":{"osv":"GO-3","fixed_version":"v1.26.9","trace":[{"module":"stdlib","version":"v1.26.8","package":"os","function":"Open"}]}}
`
	got, err := calledVulnerabilities(strings.NewReader(said))
	want := []string{"GO-2: example.org/b v1.0.0, not fixed yet", "GO-3: stdlib v1.26.8, fixed in v1.26.9"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for _, wrong := range []string{"", "govulncheck: no", said[:len(said)-20]} {
		if got, err := calledVulnerabilities(strings.NewReader(wrong)); err == nil {
			t.Errorf("%q: got %v and no error", wrong, got)
		}
	}
}
