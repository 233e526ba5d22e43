package layers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Attack is what to ask for in the place of a regular expression, to run the tests of
// every attack, whatever they are called and whether or not they need test hosts.
const Attack = "Attack"

// securityDocument has a table of attacks.
const securityDocument = "docs/security.md"

// testName matches a test, or a fuzz test, and the folder of its package if that is
// named, too.
var testName = regexp.MustCompile("`(?:([a-z0-9]+)\\.)?((?:Test|Fuzz)[A-Za-z0-9]+)`")

// An attackRow is an attack of the document's table, and the tests that try it.
type attackRow struct {
	name  string
	tests [][2]string // folder of the package, or empty; name
}

// attackRows returns the rows of the table of attacks in a document.
func attackRows(document string) (rows []attackRow) {
	_, table, _ := strings.Cut(document, "\n| attack |")
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if strings.TrimSpace(line) == "" {
			break
		}
		row := attackRow{name: strings.TrimSpace(cells[0])}
		for _, match := range testName.FindAllStringSubmatch(cells[len(cells)-1], -1) {
			row.tests = append(row.tests, [2]string(match[1:]))
		}
		if len(row.tests) > 0 {
			rows = append(rows, row)
		}
	}
	return rows
}

// attacks runs the tests that the table of attacks names, and says of each attack what
// became of it.
func attacks(ctx context.Context, r *Report) error {
	document, err := os.ReadFile(securityDocument)
	if err != nil {
		return fmt.Errorf("look for attacks: %w", err)
	}
	rows := attackRows(string(document))
	if len(rows) == 0 {
		return fmt.Errorf("%s has no table of attacks", securityDocument)
	}
	here, there, err := findTests(ctx, rows)
	if err != nil {
		return err
	}
	events := newTestEvents(r)
	args := []string{"-count=1", "-timeout=28m", "-tags=e2e", "-p=2", "-run=^(" + strings.Join(names(here), "|") + ")$"}
	errs := []error{events.run(ctx, staticBuild(), append(args, slices.Sorted(maps.Keys(here))...)...)}
	for _, pkg := range slices.Sorted(maps.Keys(there)) { // a host for each, and with it for all of its tests
		in := "^TestInAHost$/^adapters$/^" + strings.ReplaceAll(strings.TrimPrefix(pkg, module), "/", "$/^") + "$"
		errs = append(errs, events.run(ctx, staticBuild(), "-count=1", "-timeout=14m", "-tags=e2e", "-run="+in, adapters))
	}
	for _, row := range rows {
		ends := events.endsOf(row.tests)
		failed := slices.ContainsFunc(ends, func(end string) bool { return end != "pass" })
		if failed || len(ends) < len(row.tests) {
			r.Fail("attack: "+row.name, fmt.Sprintf("%d of its %d tests ran: %s", len(ends), len(row.tests), strings.Join(ends, ", ")))
			continue
		}
		r.Pass()
		r.Show("ok    attack: %s  %d tests", row.name, len(row.tests))
	}
	return errors.Join(errs...)
}

const module = "kedge/"

// findTests returns the names of the rows' tests by the packages that they are in:
// those that run here, and those that a test host runs.
func findTests(ctx context.Context, rows []attackRow) (here, there map[string][]string, err error) {
	find := func(tags, prefix string) (map[string][]string, error) {
		all, err := packages(ctx, tags)
		if err != nil {
			return nil, err
		}
		found := map[string][]string{}
		for _, p := range all {
			exist, err := p.functions(p.testFiles(), prefix)
			if err != nil {
				return nil, err
			}
			for _, row := range rows {
				for _, test := range row.tests {
					in, name := test[0], test[1]
					if slices.Contains(exist, name) && (in == "" || in == path.Base(p.ImportPath)) {
						found[p.ImportPath] = append(found[p.ImportPath], name)
					}
				}
			}
		}
		return found, nil
	}
	here, err = find("e2e", "Test")
	if err != nil {
		return nil, nil, err
	}
	fuzz, err := find("", "Fuzz")
	if err != nil {
		return nil, nil, err
	}
	for pkg, names := range fuzz {
		here[pkg] = append(here[pkg], names...)
	}
	there, err = find("host", "Test")
	if err != nil {
		return nil, nil, err
	}
	for pkg, names := range there {
		names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(here[pkg], name) })
		if there[pkg] = names; len(names) == 0 {
			delete(there, pkg)
		}
	}
	return here, there, nil
}

// names returns every name once.
func names(byPackage map[string][]string) []string {
	all := slices.Concat(slices.Collect(maps.Values(byPackage))...)
	slices.Sort(all)
	return slices.Compact(all)
}

// endsOf returns how those of the tests ended that did.
func (e *testEvents) endsOf(tests [][2]string) (ends []string) {
	for _, test := range tests {
		for _, end := range e.ends {
			if end.test == test[1] && (test[0] == "" || test[0] == end.pkg) {
				ends = append(ends, end.action)
				break
			}
		}
	}
	return ends
}
