package proto_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kedge/proto"
)

var update = flag.Bool("update", false, "write the golden files anew")

// values lets cmp compare what was parsed.
var values = cmpopts.EquateComparable(proto.HostName{}, proto.StorePath{}, proto.Revision{}, proto.Digest{}, proto.PublicKey{}, proto.Pin{}, proto.CacheToken{})

// updated returns the content of a golden file, after writing got to it if the
// tests run with -update.
func updated(t testing.TB, name string, got []byte) []byte {
	t.Helper()
	if *update {
		if err := os.WriteFile(filepath.Join("testdata", name), got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return golden(t, name)
}

// golden returns the content of a golden file.
func golden(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatalf("%v (go test ./proto -update writes it)", err)
	}
	return b
}

// indented is b as a golden file shows it. Nothing but white space differs.
func indented(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		t.Fatal(err)
	}
	out.WriteByte('\n')
	return out.Bytes()
}

// What was once written can be read for ever, and is written alike.
func TestGoldenMessages(t *testing.T) {
	for _, m := range messages(t) {
		t.Run(m.name, func(t *testing.T) {
			b, err := m.encode()
			if err != nil {
				t.Fatal(err)
			}
			want := updated(t, m.name+".json", indented(t, b))
			if d := cmp.Diff(string(want), string(indented(t, b))); d != "" {
				t.Errorf("encoding (-golden +got):\n%s", d)
			}
			got, err := m.decode(want)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(m.value, got, values); d != "" {
				t.Errorf("decoded golden file (-want +got):\n%s", d)
			}
		})
	}
}

func TestGoldenClosure(t *testing.T) {
	want := updated(t, "closure.txt", closure(t).Text())
	if got := closure(t).Text(); !bytes.Equal(got, want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if _, err := proto.ParseClosure(want); err != nil {
		t.Error(err)
	}
}

// The golden envelopes are not only read but believed.
func TestGoldenDesiredIsAccepted(t *testing.T) {
	d, err := proto.ParseDesired(golden(t, "desired.json"))
	if err != nil {
		t.Fatal(err)
	}
	order, err := d.Verify(trust(t), host(t, "web1"), proto.Floor{}, issued)
	if err != nil {
		t.Fatal(err)
	}
	if order.Release.Toplevel != toplevel(t) || order.Release.Closure != closure(t).Digest() {
		t.Errorf("got %+v, want toplevel %s and closure %s", order.Release, toplevelText, closure(t).Digest())
	}
}

var objectStart = regexp.MustCompile(`\{\n`)

func TestUnknownFieldsAreIgnored(t *testing.T) {
	for _, m := range messages(t) {
		t.Run(m.name, func(t *testing.T) {
			b := golden(t, m.name+".json")
			b = objectStart.ReplaceAll(b, []byte(`{"from_the_future": [{"deep": null}],`+"\n"))
			if m.name == "events-request.all" {
				b = []byte(`{"from_the_future": 1}`)
			}
			got, err := m.decode(b)
			if err != nil {
				t.Fatalf("decode %s: %v", b, err)
			}
			if d := cmp.Diff(m.value, got, values); d != "" {
				t.Errorf("with unknown fields (-want +got):\n%s", d)
			}
		})
	}
}

var formatField = regexp.MustCompile(`^\{\n  "format": 1,`)

func TestUnknownFormatsAreRefused(t *testing.T) {
	tried := 0
	for _, m := range messages(t) {
		b := golden(t, m.name+".json")
		if !formatField.Match(b) {
			continue
		}
		tried++
		for _, format := range []string{`"format": 0,`, `"format": 2,`, `"format": -1,`, ``} {
			if got, err := m.decode(formatField.ReplaceAll(b, []byte("{"+format))); !errors.Is(err, proto.ErrUnknownFormat) {
				t.Errorf("%s with %s: got %v, error %v, want %v", m.name, format, got, err, proto.ErrUnknownFormat)
			}
		}
		for _, format := range []string{`"format": "1",`, `"format": 1.5,`, `"format": {},`} {
			if got, err := m.decode(formatField.ReplaceAll(b, []byte("{"+format))); !errors.Is(err, proto.ErrMalformed) {
				t.Errorf("%s with %s: got %v, error %v, want %v", m.name, format, got, err, proto.ErrMalformed)
			}
		}
	}
	if tried < 9 {
		t.Errorf("only %d messages have a format", tried)
	}
}

func TestUnknownPhasesAreRefused(t *testing.T) {
	for _, m := range messages(t) {
		b := golden(t, m.name+".json")
		changed := bytes.ReplaceAll(b, []byte(`"phase": "rolled-back"`), []byte(`"phase": "dancing"`))
		if bytes.Equal(b, changed) {
			continue
		}
		if got, err := m.decode(changed); err == nil || !strings.Contains(err.Error(), "dancing") {
			t.Errorf("%s: got %v, error %v, want one that names the phase", m.name, got, err)
		}
	}
}

// A type that has a format, and every message of the operator API, has a golden
// file; and every golden file belongs to an example.
func TestEveryMessageHasAGoldenFile(t *testing.T) {
	have := map[string]bool{"closure.txt": true}
	for _, m := range messages(t) {
		have[m.name+".json"] = true
	}
	for _, name := range messageTypes(t) {
		if !have[kebab(name)+".json"] {
			t.Errorf("%s has no golden file testdata/%s.json", name, kebab(name))
		}
	}
	files, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !f.IsDir() && !have[f.Name()] {
			t.Errorf("testdata/%s belongs to no example", f.Name())
		}
	}
}

var capital = regexp.MustCompile(`[A-Z]`)

func kebab(name string) string {
	return strings.TrimPrefix(strings.ToLower(capital.ReplaceAllString(name, "-$0")), "-")
}

// messageTypes returns the names of the structs in this package that have a
// format, or are a request or a reply.
func messageTypes(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		if f.Name.Name != "proto" {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || !spec.Name.IsExported() {
				return true
			}
			s, ok := spec.Type.(*ast.StructType)
			if ok && (hasFormat(s) || strings.HasSuffix(spec.Name.Name, "Request") || strings.HasSuffix(spec.Name.Name, "Reply")) {
				names = append(names, spec.Name.Name)
			}
			return true
		})
	}
	if len(names) == 0 {
		t.Fatal("no message was found")
	}
	return names
}

func hasFormat(s *ast.StructType) bool {
	for _, f := range s.Fields.List {
		if f.Tag != nil && strings.Contains(f.Tag.Value, `json:"format"`) {
			return true
		}
	}
	return false
}
