package layers

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// A Report is told what one layer's tests came to, and shows it.
type Report struct {
	Passed, Failed int
	Skipped        []string // names of the tests
	// Missed are those of them that should have run here.
	Missed []string

	out io.Writer
}

// Elsewhere begins why a test is skipped that needs what the machines of this project cannot have.
const Elsewhere = "elsewhere: "

// Pass reports a test that passed.
func (r *Report) Pass() { r.Passed++ }

// Skip reports a test that did not run, and what it said.
func (r *Report) Skip(name, output string) {
	r.Skipped = append(r.Skipped, name)
	if !strings.Contains(output, Elsewhere) {
		r.Missed = append(r.Missed, name)
	}
	r.Show("skip  %s\n%s", name, indent(output))
}

// Fail reports a test that failed, and what it said.
func (r *Report) Fail(name, output string) {
	r.Failed++
	r.Show("FAIL  %s\n%s", name, indent(output))
}

// Show prints a line, or several, of progress.
func (r *Report) Show(format string, args ...any) {
	fmt.Fprintln(r.out, strings.TrimRight(fmt.Sprintf(format, args...), "\n"))
}

// check reports fn, which is a test in itself.
func (r *Report) check(name string, fn func() (output string, err error)) {
	start := time.Now()
	output, err := fn()
	if err != nil {
		r.Fail(name, output+"\n"+err.Error())
		return
	}
	r.Pass()
	r.Show("ok    %s  %s", name, seconds(time.Since(start)))
}

// seconds writes d as the tables do.
func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

func indent(text string) string {
	text = strings.Trim(text, "\n")
	if text == "" {
		return ""
	}
	return "      " + strings.ReplaceAll(text, "\n", "\n      ")
}
