package docs_test

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/reference/words.md anew")

// wordLists are the closed lists of words that people and programs meet: those of a type in a file, or, where there is
// none, the constants whose names begin so.
func wordLists() []wordList {
	return []wordList{
		{"Reasons", "In the status, in events, in the log, and as label `reason` in metrics; [what to do](../troubleshooting.md#by-reason).", "../proto/reason.go", "Reason", ""},
		{"Phases", "Of a deployment; [which follows which](../transaction.md).", "../proto/phase.go", "Phase", ""},
		{"Verdicts", "What came of a deployment.", "../proto/phase.go", "Verdict", ""},
		{"Conditions", "Of a host.", "../proto/condition.go", "ConditionType", ""},
		{"Modes", "Of an assignment; [Modes, policy and reboots](../reboots.md).", "../proto/mode.go", "Mode", ""},
		{"States of a rollout", "[Rollouts](../rollouts.md).", "../proto/rollout.go", "RolloutState", ""},
		{"Acts", "In `kedge audit`.", "../proto/audit.go", "Act", ""},
		{"Events that people are told of", "[Notifications](../notifications.md).", "../controller/internal/notify/notice.go", "Event", ""},
		{"Exit codes of kedge", "[Events](../events.md#exit-codes).", "../cmd/kedge/internal/cli/exit.go", "", "Exit"},
		{"Exit codes of kedge-agent", "[Events](../events.md#exit-codes).", "../agent/cli/exit.go", "", "Exit"},
	}
}

type wordList struct{ title, about, file, kind, prefix string }

// TestTheReferenceHasEveryWord: the page is what the code says of each.
func TestTheReferenceHasEveryWord(t *testing.T) {
	var page bytes.Buffer
	page.WriteString("# Words\n\nEvery reason, phase, verdict, condition, mode, state, act, event and exit code, as the code says what it is. This page is written by `make manual`.\n")
	for _, l := range wordLists() {
		fmt.Fprintf(&page, "\n## %s\n\n%s\n", l.title, l.about)
		if l.write(t, &page) == 0 {
			t.Errorf("%s has no %s", l.file, l.title)
		}
	}
	const file = "reference/words.md"
	if *update {
		if err := os.WriteFile(file, page.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, page.Bytes()) {
		t.Errorf("%s is not what the code says (%v); run `make manual`", file, err)
	}
}

// write writes a table for each block of constants, and returns how many words there are.
func (l wordList) write(t *testing.T, page *bytes.Buffer) (words int) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), l.file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range file.Decls {
		block, is := d.(*ast.GenDecl)
		if !is || block.Tok != token.CONST {
			continue
		}
		var rows []string
		for _, s := range block.Specs {
			if spec := s.(*ast.ValueSpec); l.has(spec) { //nolint:forcetypeassert // of constants
				rows = append(rows, "| `"+valueOf(t, spec)+"` | "+saidOf(spec)+" |")
			}
		}
		if len(rows) == 0 || len(rows) == 1 && strings.HasPrefix(rows[0], "| `` |") {
			continue
		}
		if about := oneLine(block.Doc.Text()); about != "" {
			page.WriteString("\n" + about + "\n")
		}
		page.WriteString("\n| word | what it says |\n|---|---|\n" + strings.Join(rows, "\n") + "\n")
		words += len(rows)
	}
	return words
}

// has reports whether a constant is one of the list, which nothing is not.
func (l wordList) has(spec *ast.ValueSpec) bool {
	if l.kind == "" {
		return strings.HasPrefix(spec.Names[0].Name, l.prefix) && spec.Names[0].Name != "ExitCodes"
	}
	kind, is := spec.Type.(*ast.Ident)
	if !is || kind.Name != l.kind {
		return false
	}
	value, is := spec.Values[0].(*ast.BasicLit)
	return is && value.Value != `""`
}

func valueOf(t *testing.T, spec *ast.ValueSpec) string {
	t.Helper()
	value, is := spec.Values[0].(*ast.BasicLit)
	if !is {
		t.Fatalf("%s is not a plain value", spec.Names[0].Name)
	}
	if value.Kind != token.STRING {
		return value.Value
	}
	text, err := strconv.Unquote(value.Value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// saidOf returns what is said of a constant: behind it, or above.
func saidOf(spec *ast.ValueSpec) string {
	if said := oneLine(spec.Comment.Text()); said != "" {
		return said
	}
	return oneLine(spec.Doc.Text())
}

func oneLine(text string) string {
	return strings.NewReplacer("|", `\|`, "[", "", "]", "").Replace(strings.Join(strings.Fields(text), " "))
}
