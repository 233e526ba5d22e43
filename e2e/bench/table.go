package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// writeTable prints the report for people.
func (r report) writeTable(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	var text strings.Builder
	line := func(cells ...string) { text.WriteString(strings.Join(cells, "\t") + "\t\n") }
	seconds := func(v float64) string { return fmt.Sprintf("%.3f", v) }
	ratio := func(f flows, of func(measured) float64) string { return fmt.Sprintf("%.2f", of(f.Kedge)/of(f.Manual)) }

	line(fmt.Sprintf("medians of %d, s", r.Rounds), "1 host: kedge", "manual", "ratio", "4 hosts: kedge", "manual", "ratio")
	for _, row := range []struct {
		name string
		of   func(measured) float64
	}{
		{"push → activated", func(m measured) float64 { return m.Activated }},
		{"processor time per host", func(m measured) float64 { return m.CPU }},
	} {
		line(row.name,
			seconds(row.of(r.One.Kedge)), seconds(row.of(r.One.Manual)), ratio(r.One, row.of),
			seconds(row.of(r.Four.Kedge)), seconds(row.of(r.Four.Manual)), ratio(r.Four, row.of))
	}
	line("push → activated, by hand in turn", "", "", "", seconds(r.Four.Kedge.Activated), seconds(r.Four.InTurn.Activated),
		fmt.Sprintf("%.2f", r.Four.Kedge.Activated/r.Four.InTurn.Activated))
	line("push → committed", seconds(r.One.Kedge.Committed), "", "", seconds(r.Four.Kedge.Committed), "", "")
	line("commit after the grace period", seconds(r.One.Kedge.Lag), "", "", seconds(r.Four.Kedge.Lag), "", "")
	line("", "", "", "", "", "", "")
	line("parts, of the last host", "", "", "", "", "", "")
	for _, p := range partsOf(byKedge) {
		line(string(p), seconds(r.One.Kedge.Parts[p]), "", "", seconds(r.Four.Kedge.Parts[p]), "", "")
	}
	line("", "", "", "", "", "", "")
	for _, p := range partsOf(byHand) {
		line(string(p), "", seconds(r.One.Manual.Parts[p]), "", "", seconds(r.Four.Manual.Parts[p]), "")
	}
	line("", "", "", "", "", "", "")
	line("idle agent, MiB", fmt.Sprintf("RSS %.1f", r.RSS), fmt.Sprintf("PSS %.1f", r.PSS), "", "", "", "")
	if _, err := io.WriteString(w, text.String()); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out, "\ntargets")
	for _, t := range r.Targets {
		mark := "missed"
		if t.Reached {
			mark = "reached"
		}
		if err == nil {
			_, err = fmt.Fprintf(out, "  %-8s %6.2f of at most %-4g %s\n", mark, t.Value, t.AtMost, t.Name)
		}
	}
	return err
}
