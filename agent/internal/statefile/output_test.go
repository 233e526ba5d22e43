package statefile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"kedge/agent/internal/deployment"
	"kedge/proto"
)

// said returns the n-th output.
func said(n int, lines ...string) Output {
	return NewOutput(deployment.Deployment{ID: "7-x", Phase: proto.PhaseActivating}, proto.StorePath{}, proto.ModeTest, lines,
		time.Unix(1_800_000_000, int64(n)))
}

func texts(t *testing.T, d Dir) (all []string) {
	t.Helper()
	outputs, err := d.Outputs()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range outputs {
		all = append(all, o.Text)
	}
	return all
}

func TestOutputsAreKeptUntilTheyAreTaken(t *testing.T) {
	d := Dir{State: t.TempDir(), Runtime: t.TempDir()}
	if got := texts(t, d); len(got) > 0 {
		t.Errorf("before the first: got %q", got)
	}
	for n := range 3 {
		if err := d.KeepOutput(said(n, fmt.Sprint(n), "end")); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.TakeOutput(said(1)); err != nil {
		t.Fatal(err)
	}
	if err := d.TakeOutput(said(1)); err != nil {
		t.Errorf("once more: %v", err)
	}
	left := filepath.Join(d.Runtime, outputDir, ".left.json.tmp-X")
	b, err := os.ReadFile(d.output(said(0)).Path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(left, b, 0o600); err != nil { // by a crash
		t.Fatal(err)
	}
	if err := os.WriteFile(d.output(said(4)).Path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"0\nend", "2\nend"}, texts(t, d)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got, err := d.Outputs()
	if err != nil || !got[0].Time.Equal(said(0).Time) || got[0].Deployment != "7-x" || got[0].Phase != proto.PhaseActivating || got[0].Mode != proto.ModeTest {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestTheOldestOutputsAreForgotten(t *testing.T) {
	d := Dir{State: t.TempDir(), Runtime: t.TempDir()}
	for n := range 3 * maxOutputs {
		if err := d.KeepOutput(said(n, fmt.Sprint(n))); err != nil {
			t.Fatal(err)
		}
	}
	if got := texts(t, d); len(got) != maxOutputs || got[0] != fmt.Sprint(2*maxOutputs) {
		t.Errorf("%d are kept, from %q", len(got), got[0])
	}
	for n := range 8 {
		if err := d.KeepOutput(said(1000+n, strings.Repeat("x", MaxOutput))); err != nil {
			t.Fatal(err)
		}
	}
	if got := texts(t, d); len(got) != maxOutputBytes/MaxOutput-1 { // a file has more than its text
		t.Errorf("%d large ones are kept", len(got))
	}
	widest := strings.Repeat("\x01", MaxOutput) // has six bytes each in the file
	if err := d.KeepOutput(said(2000, widest)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{widest}, texts(t, d)); diff != "" {
		t.Error("the newest alone is too large, and is not what is kept")
	}
}

func TestALongOutputKeepsItsEnd(t *testing.T) {
	line := strings.Repeat("é", 100)
	for name, tt := range map[string]struct {
		lines []string
		cut   bool
		first string // line
	}{
		"that is short":    {[]string{"a", "b"}, false, "a"},
		"of many lines":    {strings.Split(strings.Repeat(line+"\n", MaxOutput/100), "\n"), true, line},
		"of a single line": {[]string{"x" + strings.Repeat("é", MaxOutput)}, true, strings.Repeat("é", MaxOutput/2)},
		"that is no UTF-8": {[]string{"\xff\xfe"}, false, "\uFFFD"},
	} {
		t.Run(name, func(t *testing.T) {
			o := said(0, tt.lines...)
			first, _, _ := strings.Cut(o.Text, "\n")
			if len(o.Text) > MaxOutput || !utf8.ValidString(o.Text) || o.Cut != tt.cut || first != tt.first {
				t.Errorf("%d bytes, cut: %t, begins with %.20q", len(o.Text), o.Cut, first)
			}
		})
	}
}
