package layers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// ErrFailed says that a layer failed. What failed was printed.
var ErrFailed = errors.New("not everything passed")

// Options say how to [Run] layers.
type Options struct {
	Layers []Layer   // required
	Out    io.Writer // required
	// Strict makes a skipped test a failure, unless it can run [Elsewhere] alone.
	Strict bool
}

// An outcome is what became of one layer.
type outcome struct {
	layer  string
	report Report
	took   time.Duration
	errs   []error // why the layer failed, beside its failed tests
}

// Run runs the layers one after the other, each whatever became of those
// before it, and prints a table and, last of all, one line of the form
// "N passed, N failed, N skipped". It returns [ErrFailed] unless every layer
// ran, had tests, and none of them failed. It works in the current directory,
// which must be the module's.
func Run(ctx context.Context, o Options) error {
	var outcomes []outcome
	for _, l := range o.Layers {
		fmt.Fprintf(o.Out, "\n== %s\n", l.Name)
		outcomes = append(outcomes, run(ctx, l, o))
	}
	return summarize(o.Out, outcomes)
}

func run(ctx context.Context, l Layer, o Options) outcome {
	start := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, l.Limit, fmt.Errorf("took more than %s", l.Limit))
	defer cancel()
	result := outcome{layer: l.Name, report: Report{out: o.Out}}
	if err := l.Run(ctx, &result.report); err != nil {
		result.errs = append(result.errs, err)
	}
	r := &result.report
	if r.Passed+r.Failed == 0 && len(result.errs) == 0 {
		result.errs = append(result.errs, errors.New("had no tests"))
	}
	if n := len(r.Missed); n > 0 && o.Strict {
		result.errs = append(result.errs, fmt.Errorf("skipped %d tests: %s", n, strings.Join(r.Missed, ", ")))
	}
	result.took = time.Since(start)
	return result
}

// summarize prints the table. A layer's own error counts as a failed test.
func summarize(out io.Writer, outcomes []outcome) error {
	var passed, failed, skipped int
	fmt.Fprintln(out)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "layer\tpassed\tfailed\tskipped\ttook\t")
	for _, o := range outcomes {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%s\t\n", o.layer, o.report.Passed, o.report.Failed, len(o.report.Skipped), seconds(o.took))
		passed += o.report.Passed
		failed += o.report.Failed + len(o.errs)
		skipped += len(o.report.Skipped)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	for _, o := range outcomes {
		for _, err := range o.errs {
			fmt.Fprintf(out, "%s failed: %v\n", o.layer, err)
		}
	}
	if _, err := fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", passed, failed, skipped); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	if failed > 0 || len(outcomes) == 0 {
		return ErrFailed
	}
	return nil
}
