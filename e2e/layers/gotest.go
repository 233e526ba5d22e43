package layers

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path"
	"strings"
	"time"

	"kedge/e2e/internal/command"
)

// staticBuild is the environment in which the project's binaries are built, so
// that what uses it shares the go command's cache with them.
func staticBuild() []string {
	return append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-trimpath -buildvcs=false")
}

// goTest runs `go test -json` with args and reports every test.
func goTest(ctx context.Context, r *Report, env []string, args ...string) error {
	return newTestEvents(r).run(ctx, env, args...)
}

// run is [goTest]. It may be called again.
func (e *testEvents) run(ctx context.Context, env []string, args ...string) error {
	_, err := command.Run(ctx, command.Command{
		Args:     append([]string{"go", "test", "-json"}, args...),
		Env:      env,
		Progress: e.line,
	})
	failed := e.end()
	if exit, ok := errors.AsType[*command.Error](err); ok && exit.Code == 1 && failed && ctx.Err() == nil {
		return nil // said already, test by test
	}
	return err
}

// A testEvent is one line of `go test -json`; see `go doc test2json`.
type testEvent struct {
	Action      string
	Package     string
	Test        string
	Output      string
	Elapsed     float64 // seconds
	ImportPath  string  // of what is built, in build events
	FailedBuild string  // ImportPath of what was not built, when a package fails
}

// testEvents reports what `go test -json` says.
type testEvents struct {
	report *Report
	output map[string]*strings.Builder // by package and test, while it runs
	count  map[string]int              // of tests passed, by package
	failed map[string]int              // of tests failed, by package
	ends   []testEnd                   // in their order
}

// A testEnd is how a test ended: pass, fail or skip.
type testEnd struct{ pkg, test, action string } // the package's folder; the test's own name, without those of what it is part of

func newTestEvents(r *Report) *testEvents {
	return &testEvents{report: r, output: map[string]*strings.Builder{}, count: map[string]int{}, failed: map[string]int{}}
}

// line takes one line of output.
func (e *testEvents) line(s string) {
	var ev testEvent
	if err := json.Unmarshal([]byte(s), &ev); err != nil {
		e.report.Show("%s", s) // the go command's own words
		return
	}
	e.event(ev)
}

func (e *testEvents) event(ev testEvent) {
	key := ev.Package + " " + ev.Test
	switch ev.Action {
	case "output", "build-output":
		if ev.Action == "build-output" {
			key = ev.ImportPath
		}
		if e.output[key] == nil {
			e.output[key] = &strings.Builder{}
		}
		e.output[key].WriteString(ev.Output)
	case "pass", "fail", "skip":
		if ev.Test == "" {
			e.packageEnd(ev)
		} else {
			e.testEnd(ev)
		}
	}
}

func (e *testEvents) testEnd(ev testEvent) {
	output := e.take(ev.Package + " " + ev.Test)
	name := ev.Package + " " + ev.Test
	e.ends = append(e.ends, testEnd{path.Base(ev.Package), path.Base(ev.Test), ev.Action})
	switch ev.Action {
	case "pass":
		e.count[ev.Package]++
		e.report.Pass()
		if took := time.Duration(ev.Elapsed * float64(time.Second)); took >= slow && !strings.Contains(ev.Test, "/") {
			e.report.Show("ok    %s  %s", name, seconds(took))
		}
	case "fail":
		e.failed[ev.Package]++
		e.report.Fail(name, output)
	case "skip":
		e.report.Skip(name, output)
	}
}

// slow is from when on a test is worth a line of its own.
const slow = 5 * time.Second

func (e *testEvents) packageEnd(ev testEvent) {
	output := e.take(ev.Package + " ")
	switch {
	case ev.Action == "skip": // has no tests, for these tags
	case ev.Action == "pass":
		e.report.Show("ok    %s  %d tests  %s", ev.Package, e.count[ev.Package], seconds(time.Duration(ev.Elapsed*float64(time.Second))))
	case e.failed[ev.Package] == 0: // a build, a panic, a deadline, or TestMain
		e.failed[ev.Package]++
		e.report.Fail(ev.Package, e.take(ev.FailedBuild)+e.unfinished(ev.Package)+output)
	}
}

// unfinished returns what the package's tests that never ended have said.
func (e *testEvents) unfinished(pkg string) string {
	var b strings.Builder
	for key := range e.output {
		if strings.HasPrefix(key, pkg+" ") {
			b.WriteString(e.take(key))
		}
	}
	return b.String()
}

// take returns what was said under key, once.
func (e *testEvents) take(key string) string {
	b := e.output[key]
	delete(e.output, key)
	if b == nil {
		return ""
	}
	return b.String()
}

// end reports whether anything failed.
func (e *testEvents) end() bool {
	failed := 0
	for _, n := range e.failed {
		failed += n
	}
	return failed > 0
}
