package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"kedge/proto"
)

// pages returns every Markdown file of the project, by name below its root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != ".." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel("..", path)
		all[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("found %d pages only", len(all))
	}
	return all
}

// TestLinks: every link within the project leads to a file, and to a heading in it.
func TestLinks(t *testing.T) {
	all := pages(t)
	headings := map[string][]string{}
	for name, text := range all {
		headings[name] = anchors(text)
	}
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for name, text := range all {
		for _, m := range link.FindAllStringSubmatch(prose(text), -1) {
			target := m[1]
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			file, heading, _ := strings.Cut(target, "#")
			path := name
			if file != "" {
				path = filepath.Join(filepath.Dir(name), file)
			}
			if _, err := os.Stat(filepath.Join("..", path)); err != nil {
				t.Errorf("%s links to %s, which is not there", name, target)
			} else if there, is := headings[path]; heading != "" && is && !slices.Contains(there, heading) {
				t.Errorf("%s links to %s, and there is no such heading", name, target)
			}
		}
	}
}

// prose returns a page without its blocks of code.
func prose(text string) string {
	return regexp.MustCompile("(?s)```.*?```").ReplaceAllString(text, "")
}

// anchors returns where links into a page may lead, as forges make them from headings.
func anchors(page string) (all []string) {
	odd := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	for line := range strings.Lines(prose(page)) {
		if heading, is := strings.CutPrefix(strings.TrimLeft(strings.TrimSpace(line), "#"), " "); is && strings.HasPrefix(line, "#") {
			heading = odd.ReplaceAllString(strings.ToLower(heading), "")
			all = append(all, strings.ReplaceAll(heading, " ", "-"))
		}
	}
	return all
}

// A command is what there is to say on a command line.
type command struct {
	flags []string
	group bool // something has to follow
}

// commands returns the commands, by what is typed, from what the programs say of themselves.
func commands(t *testing.T) map[string]command {
	t.Helper()
	all := map[string]command{}
	for _, program := range []string{"kedge", "kedge-agent", "kedge-controller"} {
		text, err := os.ReadFile("reference/" + program + ".md")
		if err != nil {
			t.Fatal(err)
		}
		for section := range strings.SplitSeq("\n"+string(text), "\n## ") {
			name, body, _ := strings.Cut(section, "\n")
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			c := command{group: strings.Contains(body, "](#"+strings.ReplaceAll(name, " ", "-")+"-")}
			for _, m := range regexp.MustCompile(`(?m)^ +(?:(-\w), )?(--[\w-]+)`).FindAllStringSubmatch(body, -1) {
				c.flags = append(c.flags, m[1], m[2])
			}
			all[name] = c
		}
	}
	all["kedge-agent transact"] = command{} // it shows to nobody: the agent starts it
	return all
}

// TestCommands: every command line in the documentation is one that the programs take, as far as its name and
// its flags go.
func TestCommands(t *testing.T) {
	there := commands(t)
	inline := regexp.MustCompile("`((?:kedge|kedge-agent|kedge-controller) [^`\n]+)`")
	block := regexp.MustCompile(`(?m)^(?:    |\s*\$ |.*# )?((?:kedge|kedge-agent|kedge-controller) [a-z-][^\n#|]*)`)
	seen := 0
	for name, text := range pages(t) {
		if name == "CHANGELOG.md" || strings.HasPrefix(name, filepath.Join("docs", "reference")) {
			continue
		}
		var lines []string
		for _, m := range inline.FindAllStringSubmatch(prose(text), -1) {
			lines = append(lines, m[1])
		}
		for _, code := range codeBlocks(text) {
			for _, m := range block.FindAllStringSubmatch(code, -1) {
				lines = append(lines, m[1])
			}
		}
		for _, line := range lines {
			seen++
			if problem := wrong(there, strings.Fields(line)); problem != "" {
				t.Errorf("%s: %q: %s", name, line, problem)
			}
		}
	}
	if seen < 80 {
		t.Errorf("looked at %d command lines only", seen)
	}
}

// codeBlocks returns the blocks of code of a page, fenced or indented.
func codeBlocks(text string) []string {
	blocks := regexp.MustCompile("(?s)```(?:sh|console|)\n(.*?)```").FindAllString(text, -1)
	return append(blocks, regexp.MustCompile(`(?m)^    .*$`).FindAllString(prose(text), -1)...)
}

// wrong returns what the programs would not take of a command line; empty for nothing.
func wrong(there map[string]command, words []string) string {
	name, rest := words[0], words[1:]
	for len(rest) > 0 {
		if _, is := there[name+" "+rest[0]]; !is {
			break
		}
		name, rest = name+" "+rest[0], rest[1:]
	}
	c := there[name]
	if c.group && len(rest) > 0 && regexp.MustCompile(`^[a-z][a-z-]*$`).MatchString(rest[0]) {
		return "there is no command " + name + " " + rest[0]
	}
	for _, word := range rest {
		flag, _, _ := strings.Cut(strings.Trim(word, "[],;:()…"), "=")
		if word == "--" {
			break
		}
		if strings.HasPrefix(flag, "-") && !slices.Contains(c.flags, flag) && flag != "-" {
			return name + " has no flag " + flag
		}
	}
	return ""
}

// TestReasons: whoever meets a reason finds it in the page for those in trouble.
func TestReasons(t *testing.T) {
	text, err := os.ReadFile("../proto/reason.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	reasons := regexp.MustCompile(`(?m)^\s+Reason\w+ +Reason = "([^"]+)"`).FindAllStringSubmatch(string(text), -1)
	if len(reasons) < 80 {
		t.Fatalf("found %d reasons only", len(reasons))
	}
	for _, m := range reasons {
		if !strings.Contains(string(page), "`"+m[1]+"`") {
			t.Errorf("troubleshooting.md says nothing of %s", m[1])
		}
	}
}

// TestMetrics: what a page says of a metric is one that the reference has, and metrics.md leads to most of them.
func TestMetrics(t *testing.T) {
	var reference strings.Builder
	for _, program := range []string{"agent", "controller"} {
		text, err := os.ReadFile("reference/metrics-" + program + ".md")
		if err != nil {
			t.Fatal(err)
		}
		reference.Write(text)
	}
	seen := 0
	for name, text := range pages(t) {
		for _, m := range regexp.MustCompile("`(kedge_(?:agent|controller)_[a-z_]*[a-z])(?:{[^`]*})?`").FindAllStringSubmatch(text, -1) {
			seen++
			if !strings.Contains(reference.String(), "| `"+m[1]+"` |") {
				t.Errorf("%s: there is no metric %s", name, m[1])
			}
		}
	}
	if seen < 100 {
		t.Errorf("looked at %d names only", seen)
	}
}

// TestEvents: events.md has every phase, in the order of the program and with its verdict, and reasons that there are.
func TestEvents(t *testing.T) {
	text, err := os.ReadFile("events.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "\n## Phases\n")
	phases, _, _ := strings.Cut(after, "\n## ")
	got := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|.*\\| `([a-z-]+)` \\|$").FindAllStringSubmatch(phases, -1) {
		got[m[1]] = m[2]
	}
	for _, p := range proto.Phases() {
		if got[string(p)] != string(p.Verdict()) {
			t.Errorf("events.md says that %s is %q, want %q", p, got[string(p)], p.Verdict())
		}
	}
	if len(got) != len(proto.Phases()) {
		t.Errorf("events.md has %d phases, want %d", len(got), len(proto.Phases()))
	}
	reasons, err := os.ReadFile("../proto/reason.go")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ = strings.Cut(string(text), "Their reasons:")
	events, _, _ := strings.Cut(after, "\n## ")
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(events, -1) {
		if !strings.Contains(string(reasons), `Reason = "`+m[1]+`"`) {
			t.Errorf("events.md: there is no reason %s", m[1])
		}
	}
}

// TestRunbooks: every alert leads to a section of its own, and no section is of an alert that is not there.
func TestRunbooks(t *testing.T) {
	text, err := os.ReadFile("runbooks.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("alerts/*.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	var alerts []string
	for _, file := range files {
		rules, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?s)- alert: (\w+)\n(.*?)\n {8}annotations:\n(.*?)\n(?:\n|$)`).FindAllStringSubmatch(string(rules)+"\n", -1) {
			alerts = append(alerts, m[1])
			if want := "runbook: docs/runbooks.md#" + strings.ToLower(m[1]) + "\n"; !strings.Contains(m[3]+"\n", want) {
				t.Errorf("%s: %s does not say %q", file, m[1], want)
			}
		}
	}
	var sections []string
	for _, m := range regexp.MustCompile(`(?m)^## (\w+)$`).FindAllStringSubmatch(string(text), -1) {
		sections = append(sections, m[1])
	}
	slices.Sort(alerts)
	slices.Sort(sections)
	if !slices.Equal(alerts, sections) || len(alerts) < 29 {
		t.Errorf("runbooks.md has %q, the alerts are %q", sections, alerts)
	}
}

// TestEveryPageIsListed: the index names every page.
func TestEveryPageIsListed(t *testing.T) {
	index, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if file != "README.md" && !strings.Contains(string(index), "("+file+")") {
			t.Errorf("README.md does not list %s", file)
		}
	}
}

func TestWrong(t *testing.T) {
	there := map[string]command{"kedge": {group: true}, "kedge host": {group: true}, "kedge host add": {flags: []string{"--out", "-o"}}}
	for line, want := range map[string]string{
		"kedge host add web1 --out=x -o y": "",
		"kedge host":                       "",
		"kedge host …":                     "",
		"kedge hots add":                   "there is no command kedge hots",
		"kedge host ad web1":               "there is no command kedge host ad",
		"kedge host add --ouf x":           "kedge host add has no flag --ouf",
	} {
		if got := wrong(there, strings.Fields(line)); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}
