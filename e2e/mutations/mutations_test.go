package mutations

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the part of the document")

const (
	root     = "../.." // of the module
	document = "docs/transaction.md"
	// The part of the document that the list is, in other words.
	begin = "### By `make mutations`\n"
	end   = "### By hand\n"
)

// TestEveryMutationApplies: whoever changes a line that is broken on purpose mends
// the list, too.
func TestEveryMutationApplies(t *testing.T) {
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, m := range all {
		if names[m.String()] {
			t.Errorf("%s: is there twice", m)
		}
		names[m.String()] = true
		if _, err := m.Apply(root); err != nil {
			t.Error(err)
		}
		if !hasTest(t, m) {
			t.Errorf("%s: there is no test %s in %s", m, m.Test, m.Dir)
		}
	}
}

func hasTest(t *testing.T, m Mutation) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, m.Dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "\nfunc "+m.Test+"(") {
			return true
		}
	}
	return false
}

// TestTheDocumentHasTheList: what is broken is in the document. With -update, it
// is written there.
func TestTheDocumentHasTheList(t *testing.T) {
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(root, document)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(b), begin)
	got, after, ends := strings.Cut(rest, end)
	if !begins || !ends {
		t.Fatalf("%s lacks %q or %q", document, begin, end)
	}
	want := "\n" + markdown(all) + "\n"
	switch {
	case got == want:
	case *update:
		if err := os.WriteFile(name, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s does not have the list: run `go test ./e2e/mutations -update`", document)
	}
}

// markdown lists mutations, a line for each part of the code.
func markdown(all []Mutation) string {
	var b strings.Builder
	group := ""
	for _, m := range all {
		if m.Group == group {
			b.WriteString(" · " + m.What)
			continue
		}
		if group != "" {
			b.WriteString(".\n")
		}
		group = m.Group
		b.WriteString("- **" + group + ".** " + strings.ToUpper(m.What[:1]) + m.What[1:])
	}
	b.WriteString(".\n")
	return b.String()
}

func TestParse(t *testing.T) {
	for name, text := range map[string]string{
		"without a part":          "what\nf.go TestX\n-\ta\n",
		"without lines":           "# G\n\nwhat\nf.go TestX\n",
		"without a test":          "# G\n\nwhat\nf.go\n-\ta\n",
		"with something else":     "# G\n\nwhat\nf.go TestX\n-\ta\n\tb\n",
		"that begins with a line": "# G\n\nwhat\nf.go TestX\n+\ta\n",
	} {
		if _, err := parse(text); err == nil {
			t.Errorf("a list %s: got no error", name)
		}
	}
}

func TestApply(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f.go"), []byte("a\nb\nc\nb\nd\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"-a\n+x":             "x\nb\nc\nb\nd\n",
		"-a\n-b\n+x\n-d\n+y": "x\nc\nb\ny\n",
		"-c":                 "a\nb\nb\nd\n",
		"-d\n+y\n+z":         "a\nb\nc\nb\ny\nz\n",
		"-b\n+x":             "", // it is there twice
		"-e\n+x":             "",
	} {
		all, err := parse("# G\n\nwhat\nf.go TestX\n" + text + "\n")
		if err != nil {
			t.Fatal(err)
		}
		got, err := all[0].Apply(dir)
		if string(got) != want || (err != nil) != (want == "") {
			t.Errorf("%q: got %q, %v; want %q", text, got, err, want)
		}
	}
}
