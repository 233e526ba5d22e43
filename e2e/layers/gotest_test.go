package layers

import (
	"bytes"
	"strings"
	"testing"
)

func TestEventsOfGoTest(t *testing.T) {
	for _, c := range []struct {
		name           string
		lines          string
		passed, failed int
		skipped        string
		said, notSaid  string
	}{
		{
			"counts tests and subtests, and says nothing of those that pass",
			`{"Action":"start","Package":"kedge/a"}
{"Action":"run","Package":"kedge/a","Test":"TestX"}
{"Action":"output","Package":"kedge/a","Test":"TestX","Output":"chatter\n"}
{"Action":"pass","Package":"kedge/a","Test":"TestX/one","Elapsed":0}
{"Action":"pass","Package":"kedge/a","Test":"TestX","Elapsed":0}
{"Action":"output","Package":"kedge/a","Output":"ok  \tkedge/a\n"}
{"Action":"pass","Package":"kedge/a","Elapsed":1.5}`,
			2, 0, "", "ok    kedge/a  2 tests  1.5 s", "chatter",
		},
		{
			"shows what a failed test said",
			`{"Action":"output","Package":"kedge/a","Test":"TestX","Output":"    x_test.go:1: got 1, want 2\n"}
{"Action":"fail","Package":"kedge/a","Test":"TestX","Elapsed":0}
{"Action":"fail","Package":"kedge/a","Elapsed":0}`,
			0, 1, "", "FAIL  kedge/a TestX\n          x_test.go:1: got 1, want 2", "",
		},
		{
			"names a skipped test and its reason",
			`{"Action":"output","Package":"kedge/a","Test":"TestX","Output":"    x_test.go:1: no Nix here\n"}
{"Action":"skip","Package":"kedge/a","Test":"TestX","Elapsed":0}
{"Action":"pass","Package":"kedge/a","Elapsed":0}`,
			0, 0, "kedge/a TestX", "no Nix here", "",
		},
		{
			"takes a package without tests for nothing",
			`{"Action":"output","Package":"kedge/a","Output":"?   \tkedge/a\t[no test files]\n"}
{"Action":"skip","Package":"kedge/a","Elapsed":0}`,
			0, 0, "", "", "kedge/a",
		},
		{
			"fails a package that does not build, with what the compiler said",
			`{"ImportPath":"kedge/a [kedge/a.test]","Action":"build-output","Output":"a.go:1:1: undefined: x\n"}
{"ImportPath":"kedge/a [kedge/a.test]","Action":"build-fail"}
{"Action":"output","Package":"kedge/a","Output":"FAIL\tkedge/a [build failed]\n"}
{"Action":"fail","Package":"kedge/a","Elapsed":0,"FailedBuild":"kedge/a [kedge/a.test]"}`,
			0, 1, "", "a.go:1:1: undefined: x", "",
		},
		{
			"fails a package that panicked, with what the test said",
			`{"Action":"output","Package":"kedge/a","Test":"TestX","Output":"panic: out of cheese\n"}
{"Action":"output","Package":"kedge/a","Output":"FAIL\tkedge/a\t0.1s\n"}
{"Action":"fail","Package":"kedge/a","Elapsed":0.1}`,
			0, 1, "", "panic: out of cheese", "",
		},
		{
			"names a test that takes long",
			`{"Action":"pass","Package":"kedge/e2e","Test":"TestMainJob","Elapsed":42.04}
{"Action":"pass","Package":"kedge/e2e","Elapsed":43}`,
			1, 0, "", "ok    kedge/e2e TestMainJob  42.0 s", "",
		},
		{"shows what is no event", "go: no such tool", 0, 0, "", "go: no such tool", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			r := Report{out: &out}
			e := newTestEvents(&r)
			for line := range strings.Lines(c.lines) {
				e.line(line)
			}
			if r.Passed != c.passed || r.Failed != c.failed || strings.Join(r.Skipped, " ") != c.skipped {
				t.Errorf("got %d passed, %d failed, %q skipped, want %d, %d, %q", r.Passed, r.Failed, r.Skipped, c.passed, c.failed, c.skipped)
			}
			if got := e.end(); got != (c.failed > 0) {
				t.Errorf("something failed: got %t, want %t", got, c.failed > 0)
			}
			if !strings.Contains(out.String(), c.said) || c.notSaid != "" && strings.Contains(out.String(), c.notSaid) {
				t.Errorf("want %q, not %q, got\n%s", c.said, c.notSaid, &out)
			}
		})
	}
}
